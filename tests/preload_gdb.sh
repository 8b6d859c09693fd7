#!/usr/bin/env bash
# gdb: the debugger (with its Python) and the program under it both run preloaded: breakpoints, backtraces and values in two
# threads, and the symbols of the program from Python.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GDB gdb
require_compiler

cat >program.c <<'SOURCE'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
    struct item *next;
    char *name;
    int number;
};

__attribute__((noinline)) int deepest(struct item *list)
{
    int sum = 0;

    for (; list; list = list->next)
        sum += list->number;
    return sum;
}

__attribute__((noinline)) int recurse(int depth, struct item *list)
{
    return depth ? recurse(depth - 1, list) + 1 : deepest(list);
}

static void *thread(void *list)
{
    return malloc((size_t)recurse(3, list));
}

int main(void)
{
    struct item *list = NULL;
    pthread_t id;
    void *block;

    for (int i = 0; i < 100; i++) {
        struct item *item = malloc(sizeof(*item));
        char name[32];

        snprintf(name, sizeof(name), "item %d", i);
        *item = (struct item){ list, strdup(name), i };
        list = item;
    }
    printf("sum %d\n", recurse(10, list));
    pthread_create(&id, NULL, thread, list);
    pthread_join(id, &block);
    free(block);
    while (list) {
        struct item *next = list->next;

        free(list->name);
        free(list);
        list = next;
    }
    puts("done");
    return 3;
}
SOURCE
compile program -O0 -pthread program.c
assert_preloadable ./program

cat >commands <<'GDB'
set startup-with-shell off
set confirm off
set pagination off
set width 0
set style enabled off
set debuginfod enabled off
set print inferior-events off
set print thread-events off
break deepest
run
backtrace
print *list
print list->next->next->name
print $_strlen(list->name)
ptype struct item
info sharedlibrary
continue
backtrace
delete
continue
GDB
preloaded timeout -k 5 60 "$GDB" -nx -q -batch -x commands ./program >out.log 2>&1 || true
if grep -qiE 'ptrace|operation not permitted|Cannot (PTRACE|insert)' out.log; then skip "gdb may not trace here"; fi
for line in 'in recurse (depth=10, ' 'number = 99}' '"item 97"' ' = 7$' '^sum 4960$' 'in thread (' \
    '^done$' 'exited with code 03'; do
    grep -q -- "$line" out.log || fail "gdb does not say '$line'"
done
grep -qF "${QUARRY_LIB##*/}" out.log || fail "the library is not in the program under gdb"
assert_equal 2 "$(grep -c '^Thread .* hit Breakpoint 1, deepest\|^Breakpoint 1, deepest' out.log)" "times at the breakpoint"

# The debugger's own interpreter.
cat >script.py <<'PY'
import gdb
print("mapped", open("/proc/self/maps").read().count("LIBRARY") > 0)
gdb.execute("info functions re", to_string=True)
print("lines", len(gdb.execute("disassemble /s main", to_string=True).splitlines()) > 50)
print("value", int(gdb.parse_and_eval("sizeof(struct item)")))
print("types", [f.name for f in gdb.lookup_type("struct item").fields()])
PY
sed -i "s#LIBRARY#$QUARRY_LIB#" script.py
preloaded timeout -k 5 60 "$GDB" -nx -q -batch -x script.py ./program >python.log 2>&1 || fail "gdb with Python"
for line in 'mapped True' 'lines True' 'value 24' "types \['next', 'name', 'number'\]"; do
    grep -q "^$line" python.log || fail "gdb's Python does not say '$line'"
done
