#!/usr/bin/env bash
# lua: tables and strings that grow and die under the incremental and the generational collector, and coroutines.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require LUA lua5.4

cat >work.lua <<'SCRIPT'
local mode = arg[1]
collectgarbage(mode)

local function crc(text)
  local h = 5381
  for i = 1, #text, 1 + #text // 5000 do h = (h * 33 + text:byte(i)) & 0xffffffff end
  return h
end

local live, state, total = {}, 42, 0
for _ = 1, 150000 do
  state = (state * 1103515245 + 12345) & 0x7fffffff
  local slot = state % 997
  if live[slot] then total = (total * 31 + #live[slot].text + #live[slot].list) & 0xffffffff end
  live[slot] = {text = string.char(65 + state % 26):rep(1 + (state >> 8) % (1 << (3 + state % 8))), list = {1, 2, slot}}
end
print("churn", total)

local parts = {}
for i = 1, 60000 do parts[i] = ("%d:%s"):format(i * 7919 % 60013, ("ab"):rep(i % 9)) end
table.sort(parts)
local text = table.concat(parts, " ")
print("text", #text, crc(text))
print("gsub", crc((text:gsub("(%d)(%d)", "%2%1"))), select(2, text:gsub("ab", "")))

-- A table that grows by one and is emptied again: realloc of the array part.
for round = 1, 5 do
  local t = {}
  for i = 1, 50000 do t[i] = i * round end
  for i = 50000, 1, -1 do t[i] = nil end
  for i = 1, 20000 do t["k" .. i] = {i} end
  total = total + #t
end

local sum = 0
for n = 1, 2000 do
  local co = coroutine.wrap(function(a) for i = 1, 10 do a = coroutine.yield(a .. ("c"):rep(i)) end return "end" end)
  local s = "s" .. n
  for _ = 1, 10 do s = co(s) end
  sum = sum + #s
end
print("coroutines", sum)

local weak, finalised = setmetatable({}, {__mode = "k"}), 0
for i = 1, 10000 do weak[setmetatable({}, {__gc = function() finalised = finalised + 1 end})] = i end
collectgarbage() collectgarbage()
print("finalised", finalised, next(weak) == nil)
local small = "x"
for _ = 1, 20 do small = small .. small .. "y" end
print("doubling", #small, crc(small))
local chunk = "return {" .. ("{1, 'two', three = 3.5},"):rep(20000) .. "}"
print("parse", #load(chunk)())
local f <close> = io.popen("cat", "w")
f:write("through a pipe\n")
SCRIPT
run_both_ok incremental "$LUA" work.lua incremental
run_both_ok generational "$LUA" work.lua generational
assert_same incremental.preloaded.out generational.preloaded.out
preloaded "$LUA" -e 'for line in io.lines("/proc/self/maps") do print(line) end' >maps
grep -qF "$QUARRY_LIB" maps
