#!/usr/bin/env bash
# The report that QUARRY_STATS=1 writes at exit: once for each process and whole, on the standard error that the program was
# started with, also when the program closes its standard error, exits from a thread or forks; and never into a file of
# the program's that happens to have the number 2. QUARRY_ONLY chooses programs by name.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require_compiler
require LS ls
require SORT sort
require BASH_ELF bash

reported()
{
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=1 "$@"
}

# assert_reports FILE NUMBER [mixed]: that many whole reports in the file. Reports of one program begin with the same line once
# its numbers are struck out: heads and verdicts must take turns. With "mixed" they come from several programs.
assert_reports()
{
    local file=$1 number=$2 head
    assert_equal "$number" "$(grep -c '^verdict:' "$file" || true)" "reports in $file"
    assert_equal "$number" "$(awk '{ n += gsub(/verdict:/, "") } END { print n + 0 }' "$file")" "verdicts in $file"
    [ "$number" != 0 ] || return 0
    grep -qi quarry "$file" || fail "the report in $file does not name Quarry"
    [ "$number" -gt 1 ] && [ "${3-}" != mixed ] || return 0
    sed -E 's/[0-9]+([.,][0-9]+)*/N/g; s/[[:blank:]]+/ /g' "$file" >turns
    head=$(head -n 1 turns)
    awk -v head="$head" '
        $0 == head { heads++; if (heads != verdicts + 1) bad = 1 }
        /^verdict:/ { verdicts++; if (heads != verdicts) bad = 1 }
        END { exit bad }' turns || {
        head -n 60 "$file" >&2
        fail "the reports in $file are mixed up"
    }
}

cat >program.c <<'SOURCE'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void *leave(void *status)
{
    free(malloc(1000));
    exit((int)(size_t)status);
}

static void *wait_for_ever(void *arg)
{
    for (;;)
        free(malloc(100)), usleep(1000);
    return arg;
}

static void put(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
}

/* Open the data file, expect it to get the descriptor, and write one line. */
static void write_data(int expected)
{
    int fd = open("data", O_WRONLY | O_CREAT | O_APPEND, 0600);

    if (fd != expected)
        exit(70);
    put(fd, "data\n");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "plain";
    pthread_t id;
    int status, early = errno;

    for (int i = 1; i < 200; i++)
        free(malloc((size_t)i * 50));
    if (!strcmp(what, "thread")) {
        pthread_create(&id, NULL, wait_for_ever, NULL);
        pthread_create(&id, NULL, leave, (void *)5);
        pause();
    } else if (!strcmp(what, "main-leaves")) {
        pthread_create(&id, NULL, leave, (void *)6);
        pthread_exit(NULL);
    } else if (!strcmp(what, "fork-wait")) {
        if (fork() == 0)
            exit(7);
        wait(&status);
        return WEXITSTATUS(status);
    } else if (!strcmp(what, "fork-together")) {
        int gate[2];
        char c;

        if (pipe(gate))
            return 71;
        if (fork() == 0) {
            close(gate[1]);
            if (read(gate[0], &c, 1) != 0)
                return 72;
            return 0;
        }
        close(gate[1]); /* lets the child go just as the parent exits */
    } else if (!strcmp(what, "close")) {
        fclose(stderr);
        return 4;
    } else if (!strcmp(what, "reuse")) {
        close(2);
        write_data(2);
    } else if (!strcmp(what, "reuse-stdio")) {
        if (!freopen("data", "a", stderr))
            return 73;
        fputs("data\n", stderr);
    } else if (!strcmp(what, "daemon")) {
        /* Everything is closed, and every number then leads to the data file. */
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        write_data(0);
        for (int fd = 1; fd < 1024; fd++)
            if (dup2(0, fd) != fd && errno != EBADF)
                return 74;
    } else if (!strcmp(what, "high")) {
        /* The same, but the standard descriptors stay as they were. */
        int data;

        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        write_data(3);
        data = 3;
        for (int fd = 4; fd < 1024; fd++)
            if (dup2(data, fd) != fd && errno != EBADF)
                return 75;
    } else if (!strcmp(what, "born-closed")) {
        write_data(2); /* started with 2 closed */
    } else if (!strcmp(what, "limit")) {
        struct rlimit none = { 3, 3 };

        if (setrlimit(RLIMIT_NOFILE, &none))
            return 76;
        return 8;
    } else if (!strcmp(what, "errno")) {
        return early; /* what ran before main must not show */
    }
    return 0;
}
SOURCE
compile program -pthread program.c
assert_preloadable ./program
ulimit -S -n 1024 || true

# run STATUS REPORTS WHAT: the program's status is its own, and that many reports arrive.
run()
{
    local status=0
    rm -f data
    # The pipe ends when the last process of the program has ended.
    reported ./program "$3" 2>"$3.err" | cat >"$3.out" || status=$?
    assert_equal "$1" "$status" "status of '$3'"
    assert_equal "" "$(cat "$3.out")" "standard output of '$3'"
    assert_reports "$3.err" "$2"
    if [ -e data ]; then
        assert_equal data "$(cat data)" "the program's own file in '$3'"
    fi
}

# Without the variable, with an empty one and with 0 there is no report.
preloaded ./program 2>plain.err
[ ! -s plain.err ] || fail "a report that nobody asked for"
for value in '' 0; do
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS="$value" ./program 2>off.err
    assert_reports off.err 0
done

run 0 1 plain
run 0 1 errno
run 4 1 close
run 5 1 thread
run 6 1 main-leaves
run 7 2 fork-wait
for _ in 1 2 3 4 5 6 7 8 9 10; do
    run 0 2 fork-together
done
run 0 1 reuse
run 0 1 reuse-stdio
run 0 1 high
run 8 1 limit
# With everything closed there is nowhere left to report to; the file must stay as it is.
status=0
rm -f data
reported ./program daemon 2>daemon.err >daemon.out || status=$?
assert_equal 0 "$status" "status of the daemon"
assert_equal data "$(cat data)" "the daemon's own file"
assert_equal 0 "$(grep -c verdict daemon.out || true)" "reports on standard output"

# Started without a standard error.
rm -f data
reported ./program born-closed 2>&- >closed.out
assert_equal data "$(cat data)" "a file that took the place of standard error"
[ ! -s closed.out ] || fail "a report on standard output"
# Standard error that cannot be written to does no harm.
reported ./program 2>/dev/full

# ls closes its standard error itself at exit; its output is the same as ever.
mkdir dir
touch dir/{a,b,c}
reported "$LS" -l dir 2>ls.err >ls.out
"$LS" -l dir >ls.plain
assert_same ls.plain ls.out
assert_reports ls.err 1
reported "$SORT" <ls.plain 2>sort.err >sort.out
assert_reports sort.err 1
# The report goes where standard error went at the start, also when that is standard output, a pipe or a file that grows.
reported "$LS" dir >both.out 2>&1
assert_reports both.out 1
assert_equal 3 "$(grep -cx '[abc]' both.out)" "names that ls printed"
reported "$LS" dir 2>&1 >/dev/null | cat >pipe.out
assert_reports pipe.out 1
echo before >appended.err
reported "$LS" dir 2>>appended.err >/dev/null
assert_equal before "$(head -n 1 appended.err)" "the line before the report"
assert_reports appended.err 1

# The duplicate of standard error is not handed on to other programs.
"$BASH_ELF" --norc -c 'exec env -i ls /proc/self/fd' >fds.plain
reported "$BASH_ELF" --norc -c 'exec env -i ls /proc/self/fd' >fds.out 2>fds.err
assert_same fds.plain fds.out

# A pipeline in which only the named program reports; the others run preloaded and keep quiet.
# pipeline GLOB REPORTS
pipeline()
{
    env LD_PRELOAD="$QUARRY_LIB" QUARRY_STATS=1 QUARRY_ONLY="$1" "$BASH_ELF" --norc -c \
        'seq 1000 | sort -r | uniq | (cat; true) | tail -n 1' 2>only.err >only.out
    assert_equal 1 "$(cat only.out)" "what the pipeline prints"
    assert_reports only.err "$2" mixed
}
pipeline sort 1
pipeline 'so[qr]*' 1
pipeline '[stu]*' 4 # seq, sort, uniq, tail
pipeline 'no-such-*' 0
