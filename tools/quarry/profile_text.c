/*
 * profile_text.c: reading profiles that are text: "heap profile:" with addresses, and collapsed stacks with names.
 */
#include "profile_data.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- lines ---- */

struct lines {
    const char *path, *at, *end;
    size_t number;
    char *line; /* this one, with a NUL instead of its end */
};

/* NULL at the end; the line lives in the profile's store. */
static char *next_line(struct profile *profile, struct lines *lines)
{
    if (lines->at >= lines->end)
        return NULL;
    const char *end = memchr(lines->at, '\n', (size_t)(lines->end - lines->at));
    if (end == NULL)
        end = lines->end;
    size_t length = (size_t)(end - lines->at);
    if (length > 0 && lines->at[length - 1] == '\r')
        length--;
    lines->line = store_text(&profile->store, lines->at, length);
    lines->at = end + 1;
    lines->number++;
    return lines->line;
}

static bool fail(const struct lines *lines, const char *message)
{
    fprintf(stderr, "quarry: %s: line %zu: %s\n", lines->path, lines->number, message);
    return false;
}

static char *skip_spaces(char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* A number, and what follows it, which is left behind. */
static bool take_number(char **at, int64_t *number, char follower)
{
    char *end;
    *at = skip_spaces(*at);
    errno = 0;
    *number = strtoll(*at, &end, 10);
    if (end == *at || errno != 0)
        return false;
    *at = end;
    if (follower == '\0')
        return true;
    *at = skip_spaces(*at);
    return *(*at)++ == follower;
}

/* ---- locations and samples that come one by one ---- */

struct growing {
    struct profile *profile;
    struct words words; /* a location's address or name as text; its number is the location's */
    size_t sample_capacity, location_capacity, mapping_capacity;
    uint32_t *stack;
    size_t depth, stack_capacity;
};

static void push(struct growing *growing, const char *word, struct profile_location location)
{
    struct profile *profile = growing->profile;
    const uint32_t number = words_number(&growing->words, word);
    if (number == profile->location_count) {
        STORE_ROOM(profile->locations, profile->location_count, growing->location_capacity);
        profile->locations[profile->location_count++] = location;
    }
    STORE_ROOM(growing->stack, growing->depth, growing->stack_capacity);
    growing->stack[growing->depth++] = number;
}

static struct profile_sample *add_sample(struct growing *growing)
{
    struct profile *profile = growing->profile;
    STORE_ROOM(profile->samples, profile->sample_count, growing->sample_capacity);
    struct profile_sample *sample = &profile->samples[profile->sample_count++];
    sample->depth = (uint32_t)growing->depth;
    sample->locations = store_array(&profile->store, growing->depth, sizeof *sample->locations);
    if (growing->depth != 0)
        memcpy(sample->locations, growing->stack, growing->depth * sizeof *sample->locations);
    sample->values = store_array(&profile->store, profile->type_count, sizeof *sample->values);
    return sample;
}

/* The arrays become part of the store, like everybody else's. */
static void *keep(struct profile *profile, void *array, size_t count, size_t bytes)
{
    void *kept = store_array(&profile->store, count, bytes);
    if (count != 0)
        memcpy(kept, array, count * bytes);
    free(array);
    return kept;
}

static void finish(struct growing *growing)
{
    struct profile *profile = growing->profile;
    profile->samples = keep(profile, profile->samples, profile->sample_count, sizeof *profile->samples);
    profile->locations = keep(profile, profile->locations, profile->location_count, sizeof *profile->locations);
    profile->mappings = keep(profile, profile->mappings, profile->mapping_count, sizeof *profile->mappings);
    words_free(&growing->words);
    free(growing->stack);
}

static void set_types(struct profile *profile, const struct profile_type *types, size_t count)
{
    profile->types = store_array(&profile->store, count, sizeof *types);
    memcpy(profile->types, types, count * sizeof *types);
    profile->type_count = count;
    profile->period_type = (struct profile_type){"space", "bytes"};
    profile->default_type = "inuse_space";
}

/* ---- heap profile: live: bytes [all: bytes] @ address ... ---- */

static const struct profile_type legacy_types[] = {
    {"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"}, {"inuse_space", "bytes"}};

static bool take_counts(char **at, int64_t values[4])
{
    return take_number(at, &values[2], ':') && take_number(at, &values[3], '\0') && (*at = skip_spaces(*at)) &&
           *(*at)++ == '[' && take_number(at, &values[0], ':') && take_number(at, &values[1], ']') &&
           (*at = skip_spaces(*at)) && *(*at)++ == '@';
}

/* Addresses are those behind the calls: the call is one before. */
static bool take_stack(struct growing *growing, char *at)
{
    growing->depth = 0;
    for (char *end; *(at = skip_spaces(at)) != '\0'; at = end) {
        errno = 0;
        const uint64_t address = strtoull(at, &end, 16);
        if (end == at || errno != 0)
            return false;
        char word[32];
        snprintf(word, sizeof word, "%" PRIx64, address);
        push(growing, word, (struct profile_location){.address = address == 0 ? 0 : address - 1});
    }
    return true;
}

/* start-limit permissions offset device inode path; those of other forms mean nothing here. */
static void take_mapping(struct growing *growing, const char *line)
{
    struct profile *profile = growing->profile;
    struct profile_mapping mapping = {.build_id = ""};
    char permissions[8];
    int path = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &mapping.start, &mapping.limit, permissions,
               &mapping.offset, &path) < 4)
        return;
    if (path == 0 || line[path] != '/')
        return;
    mapping.file = line + path;
    STORE_ROOM(profile->mappings, profile->mapping_count, growing->mapping_capacity);
    profile->mappings[profile->mapping_count++] = mapping;
}

static void find_mappings(struct profile *profile)
{
    for (size_t i = 0; i < profile->location_count; i++) {
        struct profile_location *location = &profile->locations[i];
        for (size_t j = 0; j < profile->mapping_count && location->mapping == NULL; j++)
            if (location->address >= profile->mappings[j].start && location->address < profile->mappings[j].limit)
                location->mapping = &profile->mappings[j];
    }
}

static bool parse_legacy(struct growing *growing, struct lines *lines)
{
    struct profile *profile = growing->profile;
    int64_t values[4];
    char *at = next_line(profile, lines) + strlen("heap profile:");
    if (!take_counts(&at, values))
        return fail(lines, "the first line is not that of a heap profile");
    at = skip_spaces(at);
    if (strncmp(at, "heapprofile", strlen("heapprofile")) != 0)
        return fail(lines, "its numbers are those of samples, not of the heap (only \"@ heapprofile\" is known)");
    bool mapped = false;
    while ((at = next_line(profile, lines)) != NULL) {
        if (strncmp(at, "MAPPED_LIBRARIES:", strlen("MAPPED_LIBRARIES:")) == 0) {
            mapped = true;
        } else if (mapped) {
            take_mapping(growing, at);
        } else if (*skip_spaces(at) != '\0' && *at != '#') {
            if (!take_counts(&at, values) || !take_stack(growing, at))
                return fail(lines, "not \"live: bytes [all: bytes] @ addresses\"");
            memcpy(add_sample(growing)->values, values, sizeof values);
        }
    }
    return true;
}

bool profile_parse_legacy(struct profile *profile, const char *text, size_t length)
{
    struct growing growing = {.profile = profile};
    struct lines lines = {.path = profile->path, .at = text, .end = text + length};
    set_types(profile, legacy_types, sizeof legacy_types / sizeof *legacy_types);
    const bool parsed = parse_legacy(&growing, &lines);
    finish(&growing);
    find_mappings(profile);
    return parsed;
}

/* ---- outer;inner number ---- */

static const struct profile_type collapsed_type = {"inuse_space", "bytes"};

static bool take_frames(struct growing *growing, char *line, char *end)
{
    /* innermost first */
    growing->depth = 0;
    for (;;) {
        char *start = end;
        while (start > line && start[-1] != ';')
            start--;
        *end = '\0';
        if (*start == '\0')
            return false;
        struct profile_line *frame = store_array(&growing->profile->store, 1, sizeof *frame);
        *frame = (struct profile_line){start, "", 0};
        push(growing, start, (struct profile_location){.lines = frame, .line_count = 1});
        if (start == line)
            return true;
        end = start - 1;
    }
}

static bool parse_collapsed(struct growing *growing, struct lines *lines)
{
    char *line;
    while ((line = next_line(growing->profile, lines)) != NULL) {
        if (*skip_spaces(line) == '\0' || *line == '#')
            continue;
        char *space = strrchr(line, ' ');
        char *number = space;
        int64_t value;
        if (space == NULL || space == line || !take_number(&number, &value, '\0') || *skip_spaces(number) != '\0' ||
            !take_frames(growing, line, space))
            return fail(lines, "neither a profile nor \"outer;inner number\"");
        add_sample(growing)->values[0] = value;
    }
    return true;
}

bool profile_parse_collapsed(struct profile *profile, const char *text, size_t length)
{
    struct growing growing = {.profile = profile};
    struct lines lines = {.path = profile->path, .at = text, .end = text + length};
    set_types(profile, &collapsed_type, 1);
    const bool parsed = parse_collapsed(&growing, &lines);
    finish(&growing);
    return parsed;
}
