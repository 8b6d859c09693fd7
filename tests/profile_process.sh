#!/bin/sh
# The heap profile of processes that fork, that have threads, or that may not write; and the report of what was not freed.
# shellcheck source-path=SCRIPTDIR source=profile.sh disable=SC1091,SC2154 # program and folder are set there
set -eu
. "$(dirname "$0")/profile.sh"

in_use()
{
    sed -n '1s/^heap profile: *[0-9]*: *\([0-9]*\) .*/\1/p' "$1"
}

# Blocks that another thread frees are not in use; of the rest, and of what the threads allocated, all is there.
run QUARRY_OPTIONS=prof_rate:4K,prof_seed:3,prof_format:legacy "$program" threads
read -r allocated kept <"$folder/out"
file=$(profile)
within 5 "$(in_use "$file")" "$kept" || fail "threads: $(in_use "$file") in use, in truth $kept"
rm "$file"

# What a thread allocates from what another left behind is sampled from its first call on, although it never runs out of blocks; and
# calls are counted right when threads are gone.
run QUARRY_OPTIONS=prof_rate:64K,prof_seed:3,prof_format:legacy QUARRY_STATS=text:"$folder/stats" "$program" heir
read -r allocated calls <"$folder/out"
file=$(profile)
seen=$(sed -n '1s/^heap profile:[^[]*\[ *[0-9]*: *\([0-9]*\)\].*/\1/p' "$file")
within 10 "$seen" "$allocated" || fail "heir: $seen allocated, in truth $allocated"
counted=$(awk '$1 == "small" { print $2 }' "$folder/stats")
within 1 "$counted" "$calls" || fail "heir: $counted calls, in truth $calls"
rm "$file"

# At rate 1, everything is sampled, and exact.
run QUARRY_OPTIONS=prof_rate:1,prof_format:legacy "$program"
read -r allocated kept <"$folder/out"
file=$(profile)
awk '/^ *[0-9]+: / && !/heap profile/ { n += $2 } END { printf "%.0f\n", n }' "$file" >"$folder/sum"
within 1 "$(cat "$folder/sum")" "$kept" || fail "rate 1: $(cat "$folder/sum") in use, in truth $kept"
rm "$file"

# A child writes a file of its own, with what it has; one that ends by _exit writes none.
run QUARRY_OPTIONS=prof_rate:4K,prof_seed:3,prof_format:legacy "$program" fork
rm "$(profile)"
run QUARRY_OPTIONS=prof_rate:4K,prof_seed:3,prof_format:legacy "$program" fork-exit
[ "$(find "$folder" -name '*.prof' | wc -l)" -eq 2 ] || fail "fork-exit: not two profiles"
read -r allocated kept <"$folder/out"
for file in "$folder"/*.prof; do
    in_use "$file"
done | sort -n >"$folder/both"
[ "$(head -n 1 "$folder/both")" -lt "$(tail -n 1 "$folder/both")" ] || fail "the child has freed nothing"
within 5 "$(tail -n 1 "$folder/both")" "$kept" || fail "the parent lacks something"
rm "$folder"/*.prof

# Equal seeds sample alike; different ones do not.
for seed in 5 5 6; do
    run QUARRY_OPTIONS=prof_rate:4K,prof_seed:$seed,prof_format:legacy "$program"
    head -n 1 "$(profile)" >>"$folder/heads"
    rm "$(profile)"
done
[ "$(sort -u "$folder/heads" | wc -l)" -eq 2 ] && [ "$(head -n 2 "$folder/heads" | sort -u | wc -l)" -eq 1 ] ||
    fail "seeds: $(cat "$folder/heads")"

# What was not freed, by stack; nothing on standard error unless asked for.
[ ! -s "$folder/err" ] || fail "something was said unasked"
run QUARRY_OPTIONS=prof_rate:4K,prof_leaks "$program"
grep -q '^quarry: heap profile: about [0-9.]* [KM]iB in [0-9]* blocks not freed$' "$folder/err" || fail "no report of leaks"
grep -q '^quarry:     .*profile_target+0x[0-9a-f]*$' "$folder/err" || fail "no places in the report of leaks"
rm "$folder"/*.prof

# Where no file can be made, one line says so, and the program goes on.
run QUARRY_PROF=1:/nowhere/x "$program"
[ "$(wc -l <"$folder/err")" -eq 1 ] && grep -q '/nowhere/x' "$folder/err" || fail "expected one line about /nowhere/x"

# The same where a file cannot grow: there is none in the end, and it is said.
(
    ulimit -f 1
    run QUARRY_OPTIONS=prof_rate:4K "$program"
) 2>/dev/null || true
[ "$(grep -c 'larger than the limit' "$folder/err")" -eq 1 ] || fail "a profile that is not written is not told of"

# Bad values cost a line each.
run QUARRY_PROF=1:%q "$program"
grep -q 'QUARRY_PROF: bad value.*after a %' "$folder/err" || fail "no complaint about %q: $(cat "$folder/err")"
run QUARRY_PROF=yes QUARRY_OPTIONS=prof_rate:0,prof_format:svg "$program"
[ "$(wc -l <"$folder/err")" -eq 3 ] || fail "expected three complaints"
