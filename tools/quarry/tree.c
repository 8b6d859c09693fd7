/*
 * tree.c: the stacks of one profile or two, merged from the outermost frame on.
 */
#include "tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Frames are separated by ';' and lines by their end: names that have these get others. */
static void make_plain(char *name)
{
    for (; *name != '\0'; name++) {
        if (*name == ';')
            *name = ':';
        else if ((unsigned char)*name < ' ' || *name == 0x7f)
            *name = '?';
    }
}

uint32_t tree_name(struct words *words, const struct profile_location *location, uint32_t line, bool symbols)
{
    struct store store = {0};
    char *name;
    if (symbols && line < location->line_count && location->lines[line].function[0] != '\0')
        name = store_format(&store, "%s", location->lines[line].function);
    else if (location->mapping != NULL && location->mapping->file[0] != '\0')
        name = store_format(&store, "%s+0x%" PRIx64, profile_module(location), profile_offset(location));
    else if (location->address == 0 && location->line_count != 0)
        name = store_format(&store, "%s", location->lines[0].function);
    else
        name = store_format(&store, "0x%" PRIx64, location->address);
    make_plain(name);
    const uint32_t number = words_number(words, name);
    store_free(&store);
    return number;
}

/* ---- nodes ---- */

static uint32_t add_node(struct tree *tree, uint32_t parent, uint32_t name)
{
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity == 0 ? 256 : 2 * tree->capacity;
        tree->nodes = store_grow(tree->nodes, tree->capacity, sizeof *tree->nodes);
        tree->self = store_grow(tree->self, tree->capacity, tree->width * sizeof *tree->self);
    }
    const uint32_t number = (uint32_t)tree->count++;
    memset(tree->self + number * tree->width, 0, tree->width * sizeof *tree->self);
    tree->nodes[number] = (struct tree_node){.name = name, .parent = parent};
    if (number != 0) {
        tree->nodes[number].depth = tree->nodes[parent].depth + 1;
        tree->nodes[number].next = tree->nodes[parent].first;
        tree->nodes[parent].first = number;
    }
    return number;
}

static size_t slot_of(const struct tree *tree, uint32_t parent, uint32_t name)
{
    const uint32_t key[2] = {parent, name};
    return store_hash(key, sizeof key, 0) & (tree->slot_capacity - 1);
}

static void rehash(struct tree *tree)
{
    free(tree->slots);
    tree->slot_capacity = tree->slot_capacity == 0 ? 1024 : 2 * tree->slot_capacity;
    tree->slots = store_grow(NULL, tree->slot_capacity, sizeof *tree->slots);
    memset(tree->slots, 0, tree->slot_capacity * sizeof *tree->slots);
    for (uint32_t i = 1; i < tree->count; i++) {
        size_t slot = slot_of(tree, tree->nodes[i].parent, tree->nodes[i].name);
        while (tree->slots[slot] != 0)
            slot = (slot + 1) & (tree->slot_capacity - 1);
        tree->slots[slot] = i;
    }
}

static uint32_t child(struct tree *tree, uint32_t parent, uint32_t name)
{
    if (2 * tree->count >= tree->slot_capacity)
        rehash(tree);
    size_t slot = slot_of(tree, parent, name);
    for (; tree->slots[slot] != 0; slot = (slot + 1) & (tree->slot_capacity - 1)) {
        const struct tree_node *node = &tree->nodes[tree->slots[slot]];
        if (node->parent == parent && node->name == name)
            return tree->slots[slot];
    }
    return tree->slots[slot] = add_node(tree, parent, name);
}

void tree_start(struct tree *tree, size_t width)
{
    *tree = (struct tree){.width = width};
    add_node(tree, 0, words_number(&tree->words, "all"));
}

void tree_free(struct tree *tree)
{
    words_free(&tree->words);
    free(tree->module);
    free(tree->nodes);
    free(tree->self);
    free(tree->total);
    free(tree->slots);
    *tree = (struct tree){0};
}

/* ---- stacks ---- */

static void keep_module(struct tree *tree, uint32_t name, const struct profile_location *location)
{
    if (name >= tree->module_capacity) {
        const size_t before = tree->module_capacity;
        tree->module_capacity = 2 * (size_t)name + 64;
        tree->module = store_grow(tree->module, tree->module_capacity, sizeof *tree->module);
        memset(tree->module + before, 0, (tree->module_capacity - before) * sizeof *tree->module);
    }
    if (tree->module[name] == NULL)
        tree->module[name] = profile_module(location);
}

void tree_add(struct tree *tree, const struct profile *profile, size_t type, size_t column, bool symbols)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        if (sample->values[type] == 0)
            continue;
        uint32_t node = 0;
        for (uint32_t at = sample->depth; at-- > 0;) {
            const struct profile_location *location = &profile->locations[sample->locations[at]];
            const uint32_t lines = symbols && location->line_count != 0 ? location->line_count : 1;
            for (uint32_t line = lines; line-- > 0;) {
                const uint32_t name = tree_name(&tree->words, location, line, symbols);
                keep_module(tree, name, location);
                node = child(tree, node, name);
            }
        }
        int64_t *self = &tree->self[node * tree->width + column];
        *self = (int64_t)((uint64_t)*self + (uint64_t)sample->values[type]);
    }
}

void tree_finish(struct tree *tree)
{
    tree->total = store_grow(NULL, tree->count, tree->width * sizeof *tree->total);
    memcpy(tree->total, tree->self, tree->count * tree->width * sizeof *tree->total);
    for (size_t node = tree->count - 1; node > 0; node--)
        for (size_t i = 0; i < tree->width; i++) {
            int64_t *parent = &tree->total[tree->nodes[node].parent * tree->width + i];
            *parent = (int64_t)((uint64_t)*parent + (uint64_t)tree->total[node * tree->width + i]);
        }
}

/* The node after this one: its child, its sibling, or that of one of its parents. 0: the last one is behind us. */
static uint32_t next_node(const struct tree *tree, uint32_t node, uint32_t *left)
{
    *left = 0;
    if (tree->nodes[node].first != 0)
        return tree->nodes[node].first;
    while (node != 0) {
        ++*left;
        if (tree->nodes[node].next != 0)
            return tree->nodes[node].next;
        node = tree->nodes[node].parent;
    }
    return 0;
}

struct tree_sum *tree_sums(const struct tree *tree, size_t column)
{
    const size_t words = tree->words.count;
    struct tree_sum *sums = store_grow(NULL, words, sizeof *sums);
    uint32_t *open = store_grow(NULL, words, sizeof *open); /* how often it is on the way from the root to here */
    memset(sums, 0, words * sizeof *sums);
    memset(open, 0, words * sizeof *open);
    for (uint32_t node = 0, left;;) {
        const uint32_t name = tree->nodes[node].name;
        sums[name].self = (int64_t)((uint64_t)sums[name].self + (uint64_t)tree->self[node * tree->width + column]);
        if (open[name]++ == 0)
            sums[name].total =
                (int64_t)((uint64_t)sums[name].total + (uint64_t)tree->total[node * tree->width + column]);
        const uint32_t next = next_node(tree, node, &left);
        for (uint32_t leaving = node; left > 0; left--, leaving = tree->nodes[leaving].parent)
            open[tree->nodes[leaving].name]--;
        if (next == 0)
            break;
        node = next;
    }
    free(open);
    return sums;
}

/* ---- folded ---- */

static void write_path(const struct tree *tree, uint32_t node, uint32_t *path, FILE *out)
{
    const uint32_t depth = tree->nodes[node].depth;
    for (uint32_t at = node, i = depth; i > 0; at = tree->nodes[at].parent)
        path[--i] = tree->nodes[at].name;
    for (uint32_t i = 0; i < depth; i++)
        fprintf(out, "%s%s", i == 0 ? "" : ";", tree->words.word[path[i]]);
    if (depth == 0)
        fputs("[unknown]", out);
}

void tree_write_folded(const struct tree *tree, FILE *out)
{
    uint32_t deepest = 0;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->nodes[i].depth > deepest)
            deepest = tree->nodes[i].depth;
    uint32_t *path = store_grow(NULL, (size_t)deepest + 1, sizeof *path);
    for (uint32_t node = 0; node < tree->count; node++) {
        const int64_t *self = &tree->self[node * tree->width];
        if (tree->width == 1 ? self[0] == 0 : self[0] == self[1])
            continue;
        write_path(tree, node, path, out);
        for (size_t i = 0; i < tree->width; i++)
            fprintf(out, " %" PRId64, self[i]);
        fputc('\n', out);
    }
    free(path);
}
