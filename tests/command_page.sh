#!/bin/sh
# quarry stat of a process whose memory may not be read: its live page tells, if it has one; else the message says what would help.
# shellcheck source-path=SCRIPTDIR source=command.sh disable=SC1091,SC2154 # variables are set there
set -eu
. "$(dirname "$0")/command.sh"

# closed COMMAND…: runs it where no process's memory may be read.
cat >"$folder/closed.c" <<'SOURCE'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    if (argc < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 77;
    execv(argv[1], argv + 1);
    return 127;
}
SOURCE
$CC -o "$folder/closed" "$folder/closed.c" || fail "cannot compile"
"$folder/closed" /bin/sh -c 'exit 0' || { echo "skipped: seccomp filters are not available"; exit 77; }
command=$quarry
open_way()
{
    quarry=$command
}
closed_way()
{
    quarry=$folder/closed_quarry
}
printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$folder/closed" "$command" >"$folder/closed_quarry"
chmod 755 "$folder/closed_quarry"

# start_sleeper: $process is a process that has Quarry and sleeps.
start_sleeper()
{
    "$command" run -- sleep 300 &
    process=$!
    started="$started $process"
    within 10 "$command" stat "$process"
}

start_sleeper
closed_way
refused 1 'cannot be read: ' stat "$process"
open_way
refused 1 "process $process has no live page: start it with QUARRY_OPTIONS=live:page" stat --page "$process"
refused 2 '--page needs the number of a process' stat --page core

# The page is kept by a program that allocates: 64 MiB for good, and something now and then.
cat >"$folder/worker.c" <<'SOURCE'
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    char *volatile kept = memset(malloc(64 << 20), 1, 64 << 20);
    for (char *volatile block; kept != NULL && (block = malloc(300000)) != NULL; usleep(5000))
        free(block);
    return 0;
}
SOURCE
$CC -o "$folder/worker" "$folder/worker.c" || fail "cannot compile"
"$command" run -o live:page -- "$folder/worker" &
process=$!
started="$started $process"
page_is_up()
{
    "$command" stat --page "$process" >"$folder/out" && [ "$(number live "$folder/out")" -ge 67108864 ]
}
within 10 page_is_up
ask stat "$process"
grep -q 'live page' "$folder/out" && fail "the page is read although the memory may be"
for way in open_way closed_way; do
    $way
    # shellcheck disable=SC2046 # words
    ask stat $([ $way = closed_way ] || echo --page) "$process"
    head -n 1 "$folder/out" | grep -qE "^quarry [0-9.]+: worker \(pid $process, its live page of [0-9,]+ ms ago\)$" || fail "no page's head"
    grep -q '^verdict: ' "$folder/out" || fail "no verdict"
    live=$(number live "$folder/out")
    [ "$live" -ge 67108864 ] && [ "$live" -lt 70000000 ] || fail "$live bytes live"
done
refused 1 'not enough for --json and --prom' stat --json "$process"
refused 1 'not enough for --json and --prom' stat --prom "$process"
refused 1 'cannot be read: ' map "$process"
