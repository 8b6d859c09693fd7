#!/usr/bin/env bash
# What is served, and where: every document by its own consumer, every form of address, and nothing without being asked.
# shellcheck source-path=SCRIPTDIR source=http-lib.sh disable=SC1091
. "$(dirname "$0")/http-lib.sh"

# Without the option: no thread, no descriptor, not a word.
preloaded "$TARGET" count >count.out 2>count.err
alone=$("$TARGET" count)
assert_equal "$alone" "$(cat count.out)" "threads and descriptors without the option"
[ ! -s count.err ] || fail "words without the option: $(cat count.err)"

# With it: one thread more, and no descriptor that the program could see.
QUARRY_OPTIONS=http:127.0.0.1:0 preloaded "$TARGET" count >count.out 2>count.err
alone=${alone%%$'\n'*}
assert_equal "threads 2 ${alone#threads 1 }" "$(sed -n 1p count.out)" "threads and descriptors with the option"

# Every document, of a process whose threads are at work.
serve busy 127.0.0.1:0 QUARRY_PROF=1:busy.pb "$TARGET" busy
busy=$STARTED_PID
grep -qx quarry-http "/proc/$busy/task"/*/comm || fail "the thread has no name"
[ "$(get / | wc -l)" = 1 ] || fail "the index is not one line"
get / | grep -q 'http_target (pid [0-9]*).*/metrics /stats.json /debug/pprof/heap' || fail "the index: $(get /)"
for _ in 1 2 3 4 5; do
    get /metrics >metrics
    get /stats.json >stats.json
    get /debug/pprof/heap >heap.pb
    get '/debug/pprof/heap?debug=1' >heap.txt
done
grep -q '^quarry_memory_bytes{state="live"} [1-9]' metrics || fail "no metrics: $(cat metrics)"
if command -v promtool >/dev/null; then
    promtool check metrics <metrics >promtool.log 2>&1 || fail "promtool complains"
    [ ! -s promtool.log ] || fail "promtool warns"
else
    echo "no promtool here (Debian: prometheus): that part is left out"
fi
head -n 1 heap.txt | grep -q '^heap profile: .* @ heapprofile$' || fail "the legacy profile: $(head -n 1 heap.txt)"
[ -s heap.pb ] || fail "no profile"
if command -v python3 >/dev/null; then
    python3 - "$busy" "${top_srcdir:-$TESTS_DIR/..}/doc/quarry-stats.schema.json" >python.log 2>&1 <<'SCRIPT' || fail "stats.json"
import json, sys
stats = json.load(open("stats.json"))
assert stats["schema"] == "quarry.stats" and stats["reason"] == "http" and stats["pid"] == int(sys.argv[1]), stats
memory = stats["memory"]
states = ("live", "free_in_slabs", "cached", "dirty", "clean", "metadata")
assert memory["mapped"] == sum(memory[state] for state in states), memory
try:
    import jsonschema
except ImportError:
    print("no jsonschema here (Debian: python3-jsonschema): that part is left out")
else:
    schema = json.load(open(sys.argv[2]))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(stats)
SCRIPT
    cat python.log
fi

# Heads, and what is refused.
status_of()
{
    local path=$1
    shift
    curl -sS --max-time 20 -o body -w '%{http_code} %{content_type}' "$@" "$URL$path" 2>curl.log
}
plain='text/plain; charset=utf-8'
assert_equal "200 text/plain; version=0.0.4; charset=utf-8" "$(status_of /metrics)" "type of /metrics"
assert_equal "200 application/json" "$(status_of /stats.json)" "type of /stats.json"
assert_equal "200 application/json" "$(status_of '/stats.json?a=b')" "with a query"
assert_equal "200 application/octet-stream" "$(status_of '/debug/pprof/heap?gc=1')" "type of the profile"
assert_equal "200 application/octet-stream" "$(status_of '/debug/pprof/heap?debug=0')" "type of the profile"
assert_equal "200 $plain" "$(status_of '/debug/pprof/heap?debug=1')" "type of the legacy profile"
assert_equal "400 $plain" "$(status_of '/debug/pprof/heap?seconds=5')" "a difference"
assert_equal "404 $plain" "$(status_of /none)" "what is not there"
assert_equal "404 $plain" "$(status_of /metrics/)" "what is not quite there"
assert_equal "405 $plain" "$(status_of /metrics -X DELETE)" "another method"
assert_equal "405 $plain" "$(status_of /metrics -d x=y)" "a body"
assert_equal "403 $plain" "$(status_of /trim -X POST)" "an order by way of a port"
assert_equal "404 $plain" "$(status_of /trim)" "an order that is a question"
assert_equal "421 $plain" "$(status_of /metrics -H 'Host: example.com')" "another's name"
assert_equal "421 $plain" "$(status_of /metrics -H 'Host: 127.0.0.1.example.com:80')" "another's name"
assert_equal "200 $plain" "$(status_of / -H 'Host: LOCALHOST:1234')" "our name"
assert_equal "200 $plain" "$(status_of / -H 'Host: [::1]:1234')" "our address"
assert_equal "200 $plain" "$(status_of / --http1.0)" "the old version"
curl -sS --max-time 20 -I "$URL/metrics" >head.txt 2>curl.log
grep -q '^Content-Length: [1-9]' head.txt || fail "HEAD: no length"
grep -q '^Allow: GET, HEAD' <(curl -sSi --max-time 20 -X PUT "$URL/") || fail "no word of what is allowed"
ends "$busy" busy
[ "$(wc -l <busy.err)" = 1 ] || fail "words: $(cat busy.err)"
refused || fail "it is still there"

# Without a profile.
serve plain 127.0.0.1:0 "$TARGET" wait
assert_equal "404 $plain" "$(status_of /debug/pprof/heap)" "a profile that is not taken"
grep -q 'QUARRY_PROF=1' body || fail "no advice"
plain_port=${URL##*:}
# A second process with the same address says so, once, and does its work.
QUARRY_OPTIONS=http:127.0.0.1:$plain_port preloaded "$TARGET" count >count.out 2>count.err
assert_equal "threads 1 ${alone#threads 1 }" "$(sed -n 1p count.out)" "threads of the second process"
assert_equal "quarry: http: another process serves 127.0.0.1:$plain_port" "$(cat count.err)" "words of the second process"
ends "$STARTED_PID" plain

# A port that is free again is taken at once, and the name of it works.
serve again "localhost:$plain_port" "$TARGET" wait
[ ! -s again.err ] || fail "words: $(cat again.err)"
URL=http://localhost:$plain_port
get / >body
ends "$STARTED_PID" again

if [ -e /proc/net/if_inet6 ] && grep -q '^0*1 ' /proc/net/if_inet6; then
    serve six '[::1]:0' "$TARGET" wait
    case $URL in 'http://[::1]:'*) ;; *) fail "the address: $URL" ;; esac
    get /stats.json -g >body
    ends "$STARTED_PID" six
fi

# On all addresses only by the word for it; then any name will do.
serve any any:0 "$TARGET" wait
URL=http://127.0.0.1:${URL##*:}
get / -H 'Host: example.com' >body
ends "$STARTED_PID" any

# Nobody else may connect, and the path goes with the process that made it.
URL=
serve path "unix:$WORK/sock" "$TARGET" wait
get /stats.json --unix-socket sock >body
assert_equal 'socket 600' "$(stat -c '%F %a' sock)" "the socket"
get /trim -X POST --unix-socket sock | grep -qx '[0-9]*' || fail "no trim by way of a path"
ends "$STARTED_PID" path
[ ! -e sock ] || fail "the socket stays"

# One for each of several processes.
serve each "unix:$WORK/%p.sock" "$TARGET" wait
get / --unix-socket "$STARTED_PID.sock" >body
ends "$STARTED_PID" each

# Addresses that are none, or that would show us to others.
for address in '' 127.0.0.1 127.0.0.1: 127.0.0.1:x 127.0.0.1:65536 127.0.0.1:-1 0.0.0.0:0 10.0.0.1:80 '[::]:0' '[::1]' '[1]:0' \
    localhost any :0 example.com:80 unix: unix:sock "unix:/$(printf '%0200d' 0)" 127.0.0.1:080000; do
    QUARRY_OPTIONS=http:$address preloaded "$TARGET" count >count.out 2>count.err
    assert_equal "$alone" "$(sed -n 1p count.out)" "threads and descriptors with '$address'"
    grep -q "^quarry: QUARRY_OPTIONS: bad value '.*for 'http'" count.err || fail "no word of '$address': $(cat count.err)"
    [ "$(wc -l <count.err)" = 1 ] || fail "words: $(cat count.err)"
done
QUARRY_OPTIONS=http:unix:/no/such/folder preloaded "$TARGET" count >count.out 2>count.err
assert_equal "quarry: http: cannot listen on unix:/no/such/folder: No such file or directory" "$(cat count.err)" "no folder"
