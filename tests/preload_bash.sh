#!/usr/bin/env bash
# bash: a script with subshells, pipelines, arrays, here documents, traps and a coprocess, and a shell that forks while
# it holds a large heap.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require BASH_ELF bash

cat >script.bash <<'SCRIPT'
set -eu
declare -A words
text=
for i in {1..3000}; do
    key=k$((i * 7919 % 1009))
    words[$key]+=" $i"
    text+="line $i of ${#words[@]}"$'\n'
done
echo "keys ${#words[@]}, text ${#text}"
for key in "${!words[@]}"; do echo "$key:${words[$key]}"; done | sort | cksum

# Subshells see the parent's heap, change it, and die without touching the parent's.
total=0
for i in {1..40}; do
    part=$( (text=${text:$((i * 100))}; words=([x]=y); echo "${#text}") )
    total=$((total + part))
done
echo "total $total, still ${#words[@]} keys and ${#text} characters"

# Several processes at once in one pipeline, each of them this shell.
printf '%s' "$text" | while read -r line; do echo "${line//line/row}"; done |
    while read -r a b _; do echo "$b $a"; done | (mapfile -t rows; echo "${#rows[@]} ${rows[-1]}")

coproc upper { while read -r line; do echo "${line^^}"; done; }
for i in one two three; do
    echo "$i" >&"${upper[1]}"
    read -r answer <&"${upper[0]}"
    echo "$answer"
done
eval "exec ${upper[1]}>&-"
wait

background=()
for i in {1..12}; do
    (trap 'exit 3' USR1; declare -a copy=("${!words[@]}"); [ "${#copy[@]}" = "${#words[@]}" ] || exit 9; exit $((i % 3))) &
    background+=($!)
done
codes=
for pid in "${background[@]}"; do
    if wait "$pid"; then codes+=0; else codes+=$?; fi
done
echo "codes $codes"

recurse() { local n=$1 pad=$text; if [ "$n" -gt 0 ]; then recurse $((n - 1)); else echo "${#pad} deep"; fi; }
recurse 60
cat <<<"${text:0:40}"
[[ $text =~ line\ ([0-9]+)\ of\ 1000 ]] && echo "first with a thousand: ${BASH_REMATCH[1]}"
printf -v joined '%s,' "${!words[@]}"
IFS=, read -ra back <<<"$joined"
echo "${#back[@]} back"
SCRIPT
run_both_ok script "$BASH_ELF" --norc --noprofile script.bash
grep -q '^total [0-9]*, still 1009 keys' script.preloaded.out

# The library serves the subshells too.
# shellcheck disable=SC2016 # for the preloaded shell
mapped=$(preloaded "$BASH_ELF" --norc -c '(while read -r line; do echo "$line"; done </proc/self/maps)')
case $mapped in *"$QUARRY_LIB"*) ;; *) fail "a subshell lacks the library" ;; esac
