/*
 * memory-leak: memory that is never given back. doc/finding-memory.md looks for it.
 *
 * A shop answers requests. It remembers every customer's last visit, and forgets to free the one before.
 *
 *     memory-leak [SECONDS]      how long the requests take to come in
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone)) /* of a name that a profile shows */

enum { REQUESTS = 200000, REQUESTS_AT_ONCE = 1000, CUSTOMERS = 1000, PRODUCTS = 20000 };

struct visit {
    unsigned customer, pages;
    char path[184];
};

static struct visit *last_visit[CUSTOMERS];
static char *catalogue[PRODUCTS];

static void *must(void *block)
{
    if (block == NULL) {
        perror("memory-leak");
        exit(EXIT_FAILURE);
    }
    return block;
}

static FUNCTION void load_catalogue(void)
{
    for (unsigned i = 0; i < PRODUCTS; i++) {
        catalogue[i] = must(malloc(240));
        snprintf(catalogue[i], 240, "product %u", i);
    }
}

static FUNCTION void remember_visit(unsigned customer, const char *path)
{
    struct visit *visit = must(malloc(sizeof *visit));
    *visit = (struct visit){.customer = customer, .pages = 1};
    snprintf(visit->path, sizeof visit->path, "%s", path);
    last_visit[customer] = visit; /* and the one before? */
}

static FUNCTION void answer_request(unsigned number)
{
    char *request = must(malloc(2000));
    snprintf(request, 2000, "/product/%u", number % PRODUCTS);
    remember_visit(number * 7919 % CUSTOMERS, request);
    free(request);
}

int main(int argc, char **argv)
{
    const unsigned seconds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    load_catalogue();
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (i % REQUESTS_AT_ONCE == 0)
            usleep(seconds * (1000000 / (REQUESTS / REQUESTS_AT_ONCE)));
        answer_request(i);
    }
    puts("answered");
    fflush(stdout);
    return 0;
}
