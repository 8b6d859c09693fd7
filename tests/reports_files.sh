#!/usr/bin/env bash
# QUARRY_STATS=FORMAT:PATH: files are named by the pattern, private and whole; links and strange things are not followed or replaced;
# what goes wrong is told of in a line.
# shellcheck source-path=SCRIPTDIR source=reports-lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/reports-lib.sh"
require_validator

# says REGEX: the library has said one line, and it matches.
says()
{
    assert_equal 1 "$(wc -l <err.log)" "lines on standard error"
    grep -qE "$1" err.log || fail "it does not say \"$1\""
}

# Every letter.
before=$(date +%s)
target "json:%e.%p.%n.%h.%t.%r.%%" "" return
assert_equal 1 "$(count 'reports_target.*')" "files"
name=$(echo reports_target.*)
[[ $name =~ ^reports_target\.([0-9]+)\.1\.(.*)\.([0-9]+)\.exit\.%$ ]] || fail "a strange name: $name"
assert_equal "$(uname -n)" "${BASH_REMATCH[2]}" "the machine"
[ "${BASH_REMATCH[3]}" -ge "$before" ] || fail "a strange time"
valid "pid=${BASH_REMATCH[1]}" "$name"
assert_equal 600 "$(stat -c %a "$name")" "mode"

# A path is that of the start.
mkdir sub
(cd sub && target json:out "" chdir)
valid sub/out

# A forked child has its own file, and leaves its parent's alone.
for pattern in fork fork.%n; do
    target "json:$pattern" "" fork
    file=$(echo $pattern | sed 's/%n/1/')
    [ -e "$file" ] || fail "no file of the parent's, $pattern"
    assert_equal 1 "$(count "$file.*")" "files of the child, $pattern"
    valid "$file" "$file".*
    assert_equal "$(field "$file".* pid)" "$(echo "$file".* | sed 's/.*\.//')" "the child's file"
    [ "$(field "$file" pid)" != "$(field "$file".* pid)" ] || fail "the child wrote its parent's file"
    rm "$file" "$file".*
done

# A link in its place is replaced; what it leads to stays. A link in the place of the temporary file is left alone.
echo precious >victim
ln -s victim out
target json:out "" return
valid out
[ ! -L out ] || fail "still a link"
assert_equal precious "$(cat victim)" "what the link led to"
rm out
# shellcheck disable=SC2016 # for the other shell: it plants its own process's name and becomes the program
env sh -c 'ln -s victim "out.tmp-$$"; exec env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:out "$0"' "$program" >out.log
valid out
assert_equal precious "$(cat victim)" "what the trap led to"
rm -f out out.tmp-*

# Nothing but ordinary files is replaced.
mkdir folder
mkfifo pipe
target json:folder "" return
says '^quarry: cannot write .*/folder: it is a directory$'
target json:pipe "" return
says '^quarry: cannot write .*/pipe: it is not an ordinary file$'
target json:/dev/null "" return
says '^quarry: cannot write /dev/null: it is not an ordinary file$'
[ -c /dev/null ] || fail "/dev/null is gone"
target json:nowhere/out "" return
says '^quarry: cannot write .*/nowhere/out: there is no such directory$'
target "json:$(printf 'a%.0s' {1..300})" "" return
says '^quarry: cannot write .*aaa: the name is too long$'
target $'json:no\n\x1b[31m/where' "" return
says '^quarry: cannot write .*/no\?\?\[31m/where: there is no such directory$'
# Percent signs in a value are letters of the pattern, not of printf.
target 'json:%s%n' "" return
says "^quarry: QUARRY_STATS: bad value 'json:%s%n' \(after a % comes p, e, h, t, n, r or %\)$"

# No rights, and no room: the old file stays, and nothing else does.
if [ "$(id -u)" != 0 ]; then
    mkdir -m 500 locked
    target json:locked/out "" return
    says '^quarry: cannot write .*/locked/out: permission denied$'
fi
mkdir full
echo old >full/out
(
    ulimit -f 0
    target json:full/out "" return
) 2>/dev/null || true
assert_equal old "$(cat full/out)" "the old file"
assert_equal out "$(ls full)" "what is in the folder"
# shellcheck disable=SC2016 # for the other shell, which has a file system of its own
if unshare -m true 2>/dev/null; then
    unshare -m bash -c '
        mount -t tmpfs -o size=16k none full && echo old >full/out || exit 77
        head -c 1m /dev/zero >full/rest 2>/dev/null
        env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json:full/out "$0" >out.log 2>err.log
        [ "$(cat full/out)" = old ] && [ "$(ls full)" = "$(printf "out\nrest")" ]' "$program" && status=0 || status=$?
    [ "$status" = 77 ] || assert_equal 0 "$status" "status on a full file system"
    [ "$status" = 77 ] || says '^quarry: cannot write .*/full/out: no space left on the device$'
fi
