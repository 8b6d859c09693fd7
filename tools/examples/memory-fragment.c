/*
 * memory-fragment: little is in use, and it keeps much in place. doc/finding-memory.md looks for it.
 *
 * An importer builds a tree of a document and throws it away. While it builds, it keeps the titles: one small block for every
 * hundred that go, and they lie side by side with these.
 *
 *     memory-fragment [SECONDS]      how long to wait at the end
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUNCTION __attribute__((noinline, noclone)) /* of a name that a profile shows */

enum { NODES = 200000, NODES_PER_TITLE = 100, PRICES = 40000 };

struct node {
    struct node *next;
    char text[232];
};

static char *titles[NODES / NODES_PER_TITLE];
static char *prices[PRICES];

static void *must(void *block)
{
    if (block == NULL) {
        perror("memory-fragment");
        exit(EXIT_FAILURE);
    }
    return block;
}

/* Honest memory, and more of it than the titles have. */
static FUNCTION void load_prices(void)
{
    for (unsigned i = 0; i < PRICES; i++) {
        prices[i] = must(malloc(100));
        snprintf(prices[i], 100, "%u.99", i);
    }
}

static FUNCTION void keep_title(const struct node *node, unsigned number)
{
    titles[number] = must(malloc(sizeof node->text));
    memcpy(titles[number], node->text, sizeof node->text);
}

static FUNCTION struct node *parse_node(unsigned number)
{
    struct node *node = must(malloc(sizeof *node));
    snprintf(node->text, sizeof node->text, "node %u", number);
    return node;
}

static FUNCTION void import_document(void)
{
    struct node *all = NULL;
    for (unsigned i = 0; i < NODES; i++) {
        struct node *node = parse_node(i);
        node->next = all;
        all = node;
        if (i % NODES_PER_TITLE == 0)
            keep_title(node, i / NODES_PER_TITLE);
    }
    while (all != NULL) {
        struct node *node = all;
        all = node->next;
        free(node);
    }
}

int main(int argc, char **argv)
{
    load_prices();
    import_document();
    puts("imported");
    fflush(stdout);
    sleep(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0);
    return 0;
}
