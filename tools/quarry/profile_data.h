/*
 * profile_data.h: a heap profile in memory: what the quarry command reads, symbolises, compares and writes.
 *
 *     sample -> its stack of locations, innermost first -> address in a mapping, and lines once it has symbols
 *     types      what the values of a sample are, in order: alloc_objects, alloc_space, inuse_objects, ...
 *
 * Everything lies in the profile's store. Texts come from files, so they can hold anything but NUL.
 */
#ifndef TOOL_PROFILE_DATA_H
#define TOOL_PROFILE_DATA_H

#include "store.h"

#include <stdbool.h>
#include <stdio.h>

struct profile_type {
    const char *name, *unit;
};

struct profile_mapping {
    uint64_t start, limit, offset; /* of the file */
    const char *file, *build_id;   /* "" when unknown */
};

/* A function at a place; of those that were inlined into each other, the innermost first. */
struct profile_line {
    const char *function, *file; /* file may be "" */
    uint32_t line;
};

struct profile_location {
    uint64_t address;                      /* of an instruction of the call; 0: unknown */
    const struct profile_mapping *mapping; /* or NULL */
    struct profile_line *lines;
    uint32_t line_count;
};

struct profile_sample {
    uint32_t *locations; /* innermost first */
    uint32_t depth;
    int64_t *values; /* one of each type */
};

struct profile {
    const char *path;
    struct store store;
    struct profile_type *types;
    struct profile_mapping *mappings;
    struct profile_location *locations;
    struct profile_sample *samples;
    const char **comments;
    size_t type_count, mapping_count, location_count, sample_count, comment_count;
    int64_t time_ns, duration_ns, period;
    struct profile_type period_type;
    const char *default_type;
};

/* What a file is, by its first bytes. */
enum profile_format {
    PROFILE_UNKNOWN,
    PROFILE_PPROF,
    PROFILE_LEGACY,
    PROFILE_COLLAPSED,
    PROFILE_FOLDED,
    PROFILE_STATS
};
enum profile_format profile_guess(const unsigned char *bytes, size_t length);

/* The file, whole; NULL: said why. To be freed. */
unsigned char *profile_load(const char *path, size_t *length);

/* Fill in *profile, which is zero but for what it needs. False: one line on standard error says which file, where and why. */
bool profile_read(struct profile *profile, const char *path);
bool profile_parse(struct profile *profile, const char *path, const unsigned char *bytes, size_t length);
bool profile_parse_pprof(struct profile *profile, const unsigned char *bytes, size_t length);
bool profile_parse_legacy(struct profile *profile, const char *text, size_t length);
bool profile_parse_collapsed(struct profile *profile, const char *text, size_t length);
void profile_free(struct profile *profile);

/* The number of the type with this name, or -1. Knows short names: live, allocated, peak, pinned, ... */
int profile_find_type(const struct profile *profile, const char *name);

/* The rest of the first comment that starts with this word and a space, or NULL. */
const char *profile_comment(const struct profile *profile, const char *word);

/* Which file a location is in, without folders; "" when unknown. */
const char *profile_module(const struct profile_location *location);

/* Where in that file, or the address. */
uint64_t profile_offset(const struct profile_location *location);

/* Write it as protobuf, or as "heap profile:" text. False: said why. */
void profile_write_pprof(const struct profile *profile, FILE *out);
bool profile_write_legacy(const struct profile *profile, FILE *out);

/* *difference becomes what after has more than before, stack by stack; where they are equal there is no sample. */
bool profile_subtract(struct profile *difference, const struct profile *before, const struct profile *after);

#endif
