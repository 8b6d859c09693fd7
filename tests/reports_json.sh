#!/usr/bin/env bash
# QUARRY_STATS=json: what programs write at exit is what the schema says, and adds up; on standard error and in files.
# shellcheck source-path=SCRIPTDIR source=reports-lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/reports-lib.sh"
require_validator

target json "" return
valid reason=exit program=reports_target err.log
target json:out "" return
valid reason=exit program=reports_target out
[ ! -s err.log ] || fail "it says something"

# Programs of many kinds, as far as they are here; each of their processes writes.
mkdir files
program_writes()
{
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS="json:$WORK/files/%e.%p" "$@" >program.log 2>&1 </dev/null ||
        fail "status $? from: $*"
}
program_writes ls -l /
program_writes sort "$check"
program_writes awk 'BEGIN { for (i = 0; i < 100000; i++) a[i] = i "x" }'
program_writes bash --norc -c 'for i in 1 2 3; do (echo $i | cat | sort); done'
for line in 'perl -e my@a=map{"x$_"}1..100000' 'sqlite3 :memory: .tables' 'git --version' 'xz --version' 'lua5.4 -v' 'node -v'; do
    # shellcheck disable=SC2086 # the words of a command
    set -- $line
    path=$(find_elf "$1") || continue
    shift
    program_writes "$path" "$@"
done
program_writes "$PYTHON" -c 'l = [b"x" * n for n in range(3000)]; l = l[::3]'
valid files/*
[ "$(cat valid.out)" -ge 10 ] || fail "only $(cat valid.out) files"

# A program's name can be anything.
mkdir names
for name in 'a"b\c' $'new\nline' $'not\xff\xc0utf8' $'gr\xc3\xbc\xc3\x9fe' '<b>' '%p%n%s' '..x' ' '; do
    cp "$program" "names/$name"
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json "./names/$name" >out.log 2>err.log
    valid err.log
done
cp "$program" $'names/gr\xc3\xbc\xc3\x9fe'
env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=json $'./names/gr\xc3\xbc\xc3\x9fe' >out.log 2>err.log
valid $'program=gr\xc3\xbc\xc3\x9fe' err.log
# The name is that of the start, although the program writes over it.
target json:%e "" name
valid program=reports_target reports_target
