/*
 * Build and tear down: a search tree, a hash table with copied keys and lists of records are built, walked once and
 * freed node by node, several times over. This is what compilers, interpreters and importers do.
 */
#include "workload.h"

#include <string.h>

enum { NODE_COUNT = 150000, LIST_COUNT = 64, RECORD_TOP_SHIFT = 8, KEY_LIMIT = 40 };

struct tree_node {
    struct tree_node *left;
    struct tree_node *right;
    uint32_t key;
    uint32_t priority;
};

/* A treap: random priorities keep it balanced without further work. */
static struct tree_node *tree_insert(struct tree_node *root, uint32_t key, uint32_t priority)
{
    if (!root) {
        struct tree_node *node = take(sizeof *node);
        *node = (struct tree_node){.key = key, .priority = priority};
        return node;
    }
    if (key < root->key) {
        root->left = tree_insert(root->left, key, priority);
        if (root->left->priority > root->priority) {
            struct tree_node *top = root->left;
            root->left = top->right;
            top->right = root;
            return top;
        }
    } else if (key > root->key) {
        root->right = tree_insert(root->right, key, priority);
        if (root->right->priority > root->priority) {
            struct tree_node *top = root->right;
            root->right = top->left;
            top->left = root;
            return top;
        }
    }
    return root;
}

static size_t tree_free(struct tree_node *root)
{
    if (!root)
        return 0;
    size_t count = tree_free(root->left) + tree_free(root->right) + 1;
    free(root);
    return count;
}

struct entry {
    struct entry *next;
    char *key;
    uint64_t value;
};

struct table {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t entry_count;
};

static uint64_t hash(const char *key)
{
    uint64_t h = 0xcbf29ce484222325u;
    while (*key)
        h = (h ^ (unsigned char)*key++) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static void table_grow(struct table *table)
{
    size_t count = table->bucket_count ? table->bucket_count * 2 : 16;
    struct entry **buckets = calloc(count, sizeof(struct entry *));
    check(buckets != NULL, "calloc returned NULL");
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct entry *next;
        for (struct entry *entry = table->buckets[i]; entry; entry = next) {
            struct entry **bucket = &buckets[hash(entry->key) & (count - 1)];
            next = entry->next;
            entry->next = *bucket;
            *bucket = entry;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static void table_add(struct table *table, const char *key)
{
    if (table->entry_count >= table->bucket_count)
        table_grow(table);
    struct entry **bucket = &table->buckets[hash(key) & (table->bucket_count - 1)];
    for (struct entry *entry = *bucket; entry; entry = entry->next) {
        if (strcmp(entry->key, key) == 0) {
            entry->value++;
            return;
        }
    }
    size_t size = strlen(key) + 1;
    struct entry *entry = take(sizeof *entry);
    entry->key = take(size < 8 ? 8 : size);
    memcpy(entry->key, key, size);
    entry->value = 1;
    entry->next = *bucket;
    *bucket = entry;
    table->entry_count++;
}

static uint64_t table_free(struct table *table)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct entry *next;
        for (struct entry *entry = table->buckets[i]; entry; entry = next) {
            next = entry->next;
            sum += entry->value;
            free(entry->key);
            free(entry);
        }
    }
    free(table->buckets);
    return sum;
}

struct record {
    struct record *next;
    size_t size;
    char text[];
};

static void list_prepend(struct record **list, struct random *random)
{
    size_t size = random_size(random, RECORD_TOP_SHIFT);
    struct record *record = take(sizeof *record + size);
    record->next = *list;
    record->size = size;
    memset(record->text, 'x', size);
    *list = record;
}

static size_t list_free(struct record *list)
{
    size_t bytes = 0;
    while (list) {
        struct record *next = list->next;
        bytes += list->size;
        free(list);
        list = next;
    }
    return bytes;
}

static void build_and_tear_down(size_t count, struct random *random)
{
    struct tree_node *tree = NULL;
    struct table table = {0};
    struct record *lists[LIST_COUNT] = {NULL};

    for (size_t i = 0; i < count; i++) {
        uint32_t draw = random_next(random);
        char key[KEY_LIMIT];
        tree = tree_insert(tree, draw, random_next(random));
        snprintf(key, sizeof key, "%.*s%x", (int)(draw % 20), "/usr/share/examples/", draw % (uint32_t)(count * 2));
        table_add(&table, key);
        list_prepend(&lists[draw % LIST_COUNT], random);
    }

    size_t nodes = tree_free(tree);
    check(nodes > count / 2 && nodes <= count, "the tree lost nodes");
    check(table_free(&table) == count, "the table lost entries");
    size_t bytes = 0;
    for (size_t i = 0; i < LIST_COUNT; i++)
        bytes += list_free(lists[i]);
    check(bytes >= count * 8, "the lists lost records");
}

static double run_structures(double scale)
{
    struct random random = random_seeded(4);
    size_t count = shrunk(NODE_COUNT, scale);

    double start = now_seconds();
    for (size_t round = scaled(5, scale > 1 ? scale : 1); round > 0; round--)
        build_and_tear_down(count, &random);
    return now_seconds() - start;
}

const struct workload structure_workloads[] = {
    {"build-teardown", "a tree, a hash table and lists of mixed nodes, built and freed", run_structures},
    {0},
};
