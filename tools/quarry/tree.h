/*
 * tree.h: the stacks of one profile or two, merged from the outermost frame on.
 *
 * A node is a frame below its callers. self is what was allocated there, total that and everything below. There are
 * `width` values for each node: the types of a profile, or whatever the caller puts in.
 */
#ifndef TOOL_TREE_H
#define TOOL_TREE_H

#include "profile_data.h"

struct tree_node {
    uint32_t name;        /* in the tree's words; the root's is the first */
    uint32_t parent;      /* node number; parents come before their children */
    uint32_t depth;       /* of the root: 0 */
    uint32_t first, next; /* child and sibling; 0: none */
};

struct tree {
    struct words words;
    const char **module; /* of each word, from the first location with it; "" when unknown */
    size_t module_capacity;
    struct tree_node *nodes;
    int64_t *self, *total; /* width of each node */
    uint32_t *slots;
    size_t width, count, capacity, value_capacity, slot_capacity;
};

/* One frame's name as a column: "module+0x12" where there is no symbol. Kept in *words. */
uint32_t tree_name(struct words *words, const struct profile_location *location, uint32_t line, bool symbols);

void tree_start(struct tree *tree, size_t width);

/* Adds type `type` of each sample to column `column`. */
void tree_add(struct tree *tree, const struct profile *profile, size_t type, size_t column, bool symbols);

/* Computes totals; after the last tree_add. */
void tree_finish(struct tree *tree);
void tree_free(struct tree *tree);

/* What a function has on its own and with what it calls; recursion counts once. Indexed by word; to be freed. */
struct tree_sum {
    int64_t self, total;
};
struct tree_sum *tree_sums(const struct tree *tree, size_t column);

/* "outer;inner value" for each node that has any; with two columns "outer;inner before after" where these differ. */
void tree_write_folded(const struct tree *tree, FILE *out);

#endif
