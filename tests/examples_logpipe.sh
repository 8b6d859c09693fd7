#!/usr/bin/env bash
# logpipe and its copying twin: the same output as each other, under preload too, and as awk; odd lines; wrong options; signals.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

EXAMPLES=${top_builddir:-$TESTS_DIR/../build}/tools/examples
PIPE=$EXAMPLES/logpipe
TWIN=$EXAMPLES/logpipe-copy
if ! { [ -x "$PIPE" ] && [ -x "$TWIN" ]; }; then skip "the examples are not built"; fi

# same NAME [ARGUMENT…]: both programs, and the twin preloaded, print the same; the result stays in NAME.out.
same()
{
    local name=$1
    shift
    "$PIPE" "$@" >"$name.out" 2>"$name.log" || fail "$name: logpipe"
    "$TWIN" "$@" >"$name.twin" 2>>"$name.log" || fail "$name: logpipe-copy"
    preloaded "$TWIN" "$@" >"$name.preloaded" 2>>"$name.log" || fail "$name: logpipe-copy preloaded"
    assert_same "$name.twin" "$name.out"
    assert_same "$name.twin" "$name.preloaded"
}

awk 'BEGIN { srand(7); for (i = 0; i < 60000; i++)
    printf "10.0.%d.%d - user%d [12/Nov/2026:10:%02d] \"GET /page/%d HTTP/1.1\" %d %d \"agent %d\"\n",
        rand() * 3, rand() * 40, rand() * 5, rand() * 60, rand() * 2000, rand() < 0.9 ? 200 : 404, rand() * 100000, i }' >access

same clients --sum=9 --top=5 --tail=2 access
grep -q '^60000 lines, 0 without such a field, 120 keys$' clients.out || fail "the counts: $(head -n 1 clients.out)"
tail -n 2 access | sed 's/^/  /' >wanted
tail -n 2 clients.out >got
assert_same wanted got
# Every key, its count and its sum, as another program finds them.
same pages --key=6 --sum=9 --top=100000 --tail=0 access
awk '{ n[$6]++; s[$6] += $9 } END { for (k in n) printf "%d %d %s\n", n[k], s[k], k }' access | sort >wanted
sed '1d;$d' pages.out | awk '{ print $1, $2, $3 }' | sort >got
assert_same wanted got
# Ties are in the order of the keys, so the report is the same whatever the order of the hashes.
same ties --key=3 access
"$PIPE" --key=3 <access >input.out || fail "standard input"
assert_same ties.out input.out

# Lines that are empty, short, long, without an end, with nothing between separators, with zero bytes, with many fields.
{
    printf 'a b c\n\n\nb\n b\n  \nc '
    head -c 300000 /dev/zero | tr '\0' x
    printf ' d\nz\0z y\n'
    seq -s ' ' 1 500
    printf 'a last'
} >odd
for key in 1 2 64; do same "odd$key" --key=$key --tail=20 odd; done
same none /dev/null
grep -q '^0 lines, 0 without such a field, 0 keys$' none.out || fail "an empty file"
same separator --separator=: --key=2 access
same no_tail --tail=0 --top=0 access

# The memory of a line goes away although its fields were shared: the same lines, ten times as many, are not more memory.
cat access access access access access access access access access access >access10
resident()
{
    "$PIPE" --stats "$1" 2>&1 >/dev/null | sed -n 's/.*resident_kib //p'
}
small=$(resident access)
large=$(resident access10)
[ "$large" -lt $((small + 2048)) ] || fail "resident memory grew from $small to $large KiB"

# Wrong options and files are named.
for program in "$PIPE" "$TWIN"; do
    for wrong in --key=0 --key=x --separator=ab --top=-1; do
        status=0
        "$program" "$wrong" access >wrong.out 2>wrong.log || status=$?
        assert_equal 2 "$status" "status with $wrong"
        grep -q -- "${wrong%%=*}: " wrong.log || fail "no word of ${wrong%%=*}"
    done
    status=0
    "$program" no-such-file 2>wrong.log || status=$?
    assert_equal 1 "$status" "status without the file"
    grep -q 'no-such-file: No such file' wrong.log || fail "no word of the file"
    "$program" --help | grep -q '^usage: logpipe' || fail "no help"

    # A signal ends the reading, and what came until then is reported.
    mkfifo pipe
    (while cat access; do :; done) >pipe 2>/dev/null &
    track_pid $!
    "$program" pipe >stopped.out 2>stopped.log &
    pid=$!
    track_pid "$pid"
    sleep 0.3
    kill -TERM "$pid"
    wait_until 15 gone "$pid" || fail "it does not end"
    wait "$pid" || fail "status after SIGTERM"
    grep -q '^last lines$' stopped.out || fail "no report after SIGTERM"
    rm pipe
done
