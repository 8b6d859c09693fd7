#!/bin/sh
# A privileged program (setgid, so that AT_SECURE is set) ignores what its caller put into the environment.
set -eu
: "${top_builddir:?}"

program=$top_builddir/tests/sandbox_secure
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A group to switch to: any for root, one of their own for others.
if [ "$(id -u)" -eq 0 ]; then
    group=65534
else
    group=
    for candidate in $(id -G); do
        [ "$candidate" = "$(id -g)" ] || group=$candidate
    done
fi
if [ -z "$group" ]; then
    echo "needs root or a second group"
    exit 77
fi

fail()
{
    echo "$*" >&2
    cat "$folder/err" >&2
    exit 1
}

# Without privileges the variables count: this shows that the silence below means something.
cp "$program" "$folder/plain"
QUARRY_STATS=1 QUARRY_OPTIONS=help timeout -k 5 30 "$folder/plain" 2>"$folder/err" || fail "the plain run failed"
[ -s "$folder/err" ] || fail "the plain run reported nothing"

cp "$program" "$folder/secure"
chgrp "$group" "$folder/secure"
chmod 2755 "$folder/secure"
status=0
QUARRY_STATS=1 QUARRY_OPTIONS=help,nonsense:1 timeout -k 5 30 "$folder/secure" secure 2>"$folder/err" || status=$?
[ "$status" -ne 77 ] || exit 77
[ "$status" -eq 0 ] || fail "the privileged run ended with status $status"
[ ! -s "$folder/err" ] || fail "the privileged run obeyed the environment:"
