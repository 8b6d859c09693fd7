#!/usr/bin/env bash
# gcc: the compiler, assembler and linker work preloaded and make the very same object files; so does link-time
# optimisation; and the compiled program, full of libc's own allocations, runs preloaded.
# shellcheck source-path=SCRIPTDIR source=preload-lib.sh disable=SC1091
. "$(dirname "$0")/preload-lib.sh"

require GCC gcc
for part in cc1 as collect2 ld; do
    path=$("$GCC" -print-prog-name="$part")
    assert_preloadable "$(type -P "$path")"
done

cat >program.c <<'SOURCE'
#define _GNU_SOURCE
#include <glob.h>
#include <iconv.h>
#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static void *worker(void *arg)
{
    size_t seed = (size_t)arg, sum = 0;
    char *slots[64] = { 0 };

    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t slot = seed >> 58, size = 1 + (seed >> 40) % 3000;

        if (slots[slot])
            sum += (unsigned char)slots[slot][0];
        slots[slot] = realloc(slots[slot], size);
        memset(slots[slot], (int)(seed >> 32) & 127, size);
    }
    for (int i = 0; i < 64; i++)
        free(slots[i]);
    return (void *)sum;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int nodes, opened;

static void visit(const void *node, VISIT order, int depth)
{
    (void)node, (void)depth;
    nodes += order == postorder || order == leaf;
}

static ssize_t swallow(void *cookie, const char *buffer, size_t size)
{
    (void)buffer;
    *(size_t *)cookie += size;
    return (ssize_t)size;
}

int main(void)
{
    pthread_t threads[4];

    for (size_t i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, worker, (void *)(i + 1)))
            return 1;
    for (int i = 0; i < 4; i++) {
        void *sum;

        pthread_join(threads[i], &sum);
        printf("thread %zu\n", (size_t)sum);
    }

    /* Memory that libc allocates and the program frees. */
    char *text = NULL, *line = NULL, *name;
    size_t length = 0, capacity = 0, lines = 0;
    FILE *memory = open_memstream(&text, &length);

    for (int i = 0; i < 3000; i++)
        fprintf(memory, "line %d %*s\n", i, i % 200, "x");
    fclose(memory);
    FILE *input = fmemopen(text, length, "r");

    while (getline(&line, &capacity, input) > 0)
        lines++;
    fclose(input);
    free(line);
    printf("memstream %zu bytes, %zu lines\n", length, lines);

    void *root = NULL;
    for (int i = 0; i < 2000; i++) {
        if (asprintf(&name, "key-%d", i * 7919 % 1500) < 0)
            return 1;
        if (*(char **)tsearch(name, &root, compare) != name)
            free(name);
    }
    twalk(root, visit);
    tdestroy(root, free);
    printf("tree %d\n", nodes);

    regex_t pattern;
    regmatch_t found[3];

    if (regcomp(&pattern, "line ([0-9]+) +(x)", REG_EXTENDED) || regexec(&pattern, text + 50, 3, found, 0))
        return 1;
    printf("regex %.*s\n", (int)(found[1].rm_eo - found[1].rm_so), text + 50 + found[1].rm_so);
    regfree(&pattern);

    glob_t paths;
    if (glob("program.[c]", 0, NULL, &paths) == 0)
        opened = (int)paths.gl_pathc;
    globfree(&paths);
    iconv_t converter = iconv_open("UTF-16LE", "UTF-8");
    char wide[64], *from = strdup("grüße"), *start = from, *to = wide;
    size_t left = strlen(from), room = sizeof(wide);
    iconv(converter, &from, &left, &to, &room);
    iconv_close(converter);
    free(start);
    size_t swallowed = 0;
    FILE *cookie = fopencookie(&swallowed, "w", (cookie_io_functions_t){ .write = swallow });
    fputs(text, cookie);
    fclose(cookie);
    char *path = realpath(".", NULL);
    locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);
    printf("glob %d, iconv %zu, cookie %zu, realpath %d, locale %d\n", opened, sizeof(wide) - room, swallowed, path != NULL,
           locale != NULL);
    freelocale(locale);
    free(path);
    free(text);
    return 0;
}
SOURCE

# A second, long source: many functions, for the optimiser's own data structures.
awk 'BEGIN {
    print "#include <string.h>"
    for (i = 0; i < 120; i++) {
        printf "static int f%d(int *a, int n) { int s = %d, t[%d]; memset(t, n, sizeof t);\n", i, i, 4 + i % 60
        printf "  for (int k = 0; k < n; k++) { s += a[k] * %d; if (s & %d) s ^= t[k %% %d];", i + 3, i + 1, 4 + i % 60
        printf " else a[k] -= s; }\n  switch (s %% 7) { case 1: return s; case 2: return a[0]; case 5: s += %d; }\n", i
        printf "  return s - %s; }\n", i ? "f" i - 1 "(a, n - 1)" : "1"
    }
    print "int entry(int *a, int n) { return f119(a, n); }"
}' >long.c

for options in "-O2 -g" "-O0" "-O3 -flto"; do
    # shellcheck disable=SC2086 # several options
    for source in program long; do
        "$GCC" $options -pthread -c -o plain.o $source.c
        preloaded "$GCC" $options -pthread -c -o preloaded.o $source.c
        case $options in
        *lto*) ;; # the names of LTO sections are random
        *) assert_same plain.o preloaded.o ;;
        esac
        mv preloaded.o $source.o
    done
    # shellcheck disable=SC2086
    preloaded "$GCC" $options -pthread -o program program.o long.o
    assert_preloadable ./program
    run_both_ok run ./program
done
assert_equal "tree 1500" "$(grep tree run.preloaded.out)" "search tree"
run_both preprocess "$GCC" -E -dM program.c
run_both error "$GCC" -c -x c - -o none.o <<<'int main(void) { return undeclared + "x" * 2; }'
run_both syntax "$GCC" -fsyntax-only -x c /dev/null -include no-such-header.h
assert_equal 1 "$RUN_STATUS" "status of a failed compilation"
