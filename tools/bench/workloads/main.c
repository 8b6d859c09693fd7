/*
 * The synthetic workloads, one program: `bench-workloads NAME [SCALE]` runs one and prints its seconds, `list` names
 * them all, `probe` tells which object provides the malloc family, so that the runner can see that a preload took
 * effect.
 */
#define _GNU_SOURCE 1
#include "workload.h"

#include <dlfcn.h>
#include <string.h>

static const struct workload *const tables[] = {
    hot_workloads,   cold_workloads,    structure_workloads, number_workloads, logic_workloads,  server_workloads,
    queue_workloads, sharing_workloads, stress_workloads,    large_workloads,  growth_workloads, churn_workloads,
};

static const size_t table_count = sizeof tables / sizeof tables[0];

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "bench-workloads: %s\n", what);
    exit(1);
}

void run_threads(size_t count, void *(*body)(void *), void *contexts, size_t stride)
{
    pthread_t threads[64];
    check(count <= sizeof threads / sizeof threads[0], "too many threads");
    for (size_t i = 0; i < count; i++)
        check(pthread_create(&threads[i], NULL, body, (char *)contexts + i * stride) == 0, "pthread_create failed");
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void list(void)
{
    for (size_t t = 0; t < table_count; t++)
        for (const struct workload *workload = tables[t]; workload->name; workload++)
            printf("%s\t%s\n", workload->name, workload->summary);
}

/* One line per function: its name and the file of the object it is bound to. */
static void probe(void)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "free", "posix_memalign"};

    free(take(64));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        Dl_info info;
        void *function = dlsym(RTLD_DEFAULT, names[i]);
        bool found = function && dladdr(function, &info) && info.dli_fname;
        printf("%s\t%s\n", names[i], found ? info.dli_fname : "?");
    }
}

static const struct workload *find(const char *name)
{
    for (size_t t = 0; t < table_count; t++)
        for (const struct workload *workload = tables[t]; workload->name; workload++)
            if (strcmp(workload->name, name) == 0)
                return workload;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: bench-workloads NAME [SCALE] | list | probe\n");
        return 2;
    }
    if (strcmp(argv[1], "list") == 0) {
        list();
        return 0;
    }
    if (strcmp(argv[1], "probe") == 0) {
        probe();
        return 0;
    }

    const struct workload *workload = find(argv[1]);
    double scale = argc > 2 ? strtod(argv[2], NULL) : 1;
    if (!workload || !(scale > 0)) {
        fprintf(stderr, "bench-workloads: no workload '%s' at scale %s\n", argv[1], argc > 2 ? argv[2] : "1");
        return 2;
    }
    printf("%.6f\n", workload->run(scale));
    return 0;
}
