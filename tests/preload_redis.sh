#!/usr/bin/env bash
# redis-server under redis-benchmark, both preloaded, over a unix socket: the data are right, the forked children of
# BGSAVE and BGREWRITEAOF end well while clients write, and the data come back after a restart.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require SERVER redis-server
require BENCHMARK redis-benchmark
require CLI redis-cli

redis()
{
    "$CLI" -s redis.sock "$@"
}

# While it loads its data the server answers with an error.
answers()
{
    [ "$(redis ping)" = PONG ]
}

# Sets SERVER_PID.
start()
{
    start_preloaded redis.log "$SERVER" --port 0 --unixsocket "$WORK/redis.sock" --dir "$WORK" --save '' --appendonly yes \
        --io-threads 2 --io-threads-do-reads yes --enable-debug-command yes --hz 100 --list-max-listpack-size 8
    SERVER_PID=$STARTED_PID
    wait_until 20 answers || fail "the server does not answer"
    assert_mapped "$SERVER_PID"
}

info()
{
    redis info | tr -d '\r' | sed -n "s/^$1://p"
}

finished()
{
    [ "$(info "$1")" = 0 ]
}

start
preloaded "$BENCHMARK" -s redis.sock -q --csv -n 5000 -r 3000 -c 20 -P 8 -d 100 --threads 2 \
    -t set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset >benchmark.csv 2>benchmark.log
assert_equal 0 "$(grep -ci error benchmark.csv benchmark.log | awk -F: '{ n += $2 } END { print n }')" "errors of the benchmark"
[ "$(wc -l <benchmark.csv)" -ge 13 ] || fail "the benchmark did not run all its tests"

# Known data: strings of growing size, a large hash, a sorted set, a stream, a script.
awk 'BEGIN {
    for (i = 1; i <= 3000; i++) {
        v = sprintf("%0" (1 + i % 900) "d", i)
        print "SET key:" i, v
        print "HSET hash field:" i, v
        print "ZADD zset " (i * 7919 % 3001) " member:" i
        print "APPEND grown " v
        if (i % 10 == 0) print "XADD stream " i "-1 n " i " v " v
        if (i % 3 == 0) print "DEL key:" i
    }
}' | preloaded "$CLI" -s redis.sock >/dev/null
assert_equal 2000 "$(redis eval 'local n = 0 for i = 1, 3000 do n = n + redis.call("exists", "key:" .. i) end return n' 0)" keys
assert_equal "$(printf '%0101d' 1000)" "$(redis get key:1000)" "value"
assert_equal 3000 "$(redis hlen hash)" "fields"
assert_equal "$(awk 'BEGIN { for (i = 1; i <= 3000; i++) n += 1 + i % 900 < length(i) ? length(i) : 1 + i % 900; print n }')" \
    "$(redis strlen grown)" "length of the appended string"
assert_equal 300 "$(redis xlen stream)" "stream"

# Snapshot and rewrite by forked children, while a client goes on writing.
for command in bgsave bgrewriteaof bgsave; do
    preloaded "$BENCHMARK" -s redis.sock -q -n 5000 -r 3000 -c 10 -P 4 -d 300 -t set,lpush >>benchmark.log 2>&1 &
    load=$!
    track_pid "$load"
    redis "$command" >>commands.log
    case $command in
    bgsave) wait_until 30 finished rdb_bgsave_in_progress || fail "bgsave does not end" ;;
    *) wait_until 30 finished aof_rewrite_in_progress || fail "bgrewriteaof does not end" ;;
    esac
    wait "$load"
done
assert_equal ok "$(info rdb_last_bgsave_status)" "status of bgsave"
assert_equal ok "$(info aof_last_bgrewrite_status)" "status of bgrewriteaof"
[ -s dump.rdb ] || fail "no snapshot"

# Sizes that the allocator is asked for (malloc_usable_size) and freeing on another thread.
redis memory usage hash samples 0 >/dev/null
redis unlink mylist >/dev/null
digest=$(redis debug digest)
stop "$SERVER_PID"
start
assert_equal "$digest" "$(redis debug digest)" "digest after loading the append-only file"
redis flushall async >/dev/null
assert_equal 0 "$(redis dbsize)" "keys after flushall"
stop "$SERVER_PID"
if grep -E 'BUG REPORT|crashed|terminated by signal|error' redis.log; then fail "the server complained"; fi
