/*
 * profile_data.c: what is asked of a profile in memory, and the difference of two.
 */
#include "profile_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void profile_free(struct profile *profile)
{
    store_free(&profile->store);
    *profile = (struct profile){0};
}

int profile_find_type(const struct profile *profile, const char *name)
{
    static const char *const aliases[][2] = {
        {"live", "inuse_space"},    {"objects", "inuse_objects"}, {"allocated", "alloc_space"},
        {"calls", "alloc_objects"}, {"peak", "peak_space"},       {"pinned", "pinned_space"},
    };
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    for (size_t i = 0; i < profile->type_count; i++)
        if (strcmp(profile->types[i].name, name) == 0)
            return (int)i;
    return -1;
}

const char *profile_comment(const struct profile *profile, const char *word)
{
    const size_t length = strlen(word);
    for (size_t i = 0; i < profile->comment_count; i++)
        if (strncmp(profile->comments[i], word, length) == 0 && profile->comments[i][length] == ' ')
            return profile->comments[i] + length + 1;
    return NULL;
}

const char *profile_module(const struct profile_location *location)
{
    if (location->mapping == NULL)
        return "";
    const char *slash = strrchr(location->mapping->file, '/');
    return slash == NULL ? location->mapping->file : slash + 1;
}

uint64_t profile_offset(const struct profile_location *location)
{
    return location->mapping == NULL ? location->address
                                     : location->address - location->mapping->start + location->mapping->offset;
}

/* ---- the difference ---- */

struct difference {
    struct profile *profile;
    struct words places, stacks; /* locations, and sequences of them */
    size_t location_capacity, sample_capacity;
};

/* What makes a place in one run the same as a place in another, where addresses differ. */
static char *place_word(struct store *store, const struct profile_location *location)
{
    if (location->mapping != NULL && location->mapping->file[0] != '\0')
        return store_format(store, "%s %s+%" PRIx64, location->mapping->build_id, profile_module(location),
                            profile_offset(location));
    if (location->line_count != 0)
        return store_format(store, "%s:%" PRIu32, location->lines[0].function, location->lines[0].line);
    return store_format(store, "%" PRIx64, location->address);
}

/* The mapping of the difference that a place of another profile is in; it may be at another address. */
static void move_location(const struct difference *difference, struct profile_location *location)
{
    const struct profile *profile = difference->profile;
    if (location->mapping == NULL)
        return;
    const uint64_t offset = profile_offset(location);
    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct profile_mapping *mapping = &profile->mappings[i];
        if (strcmp(mapping->file, location->mapping->file) == 0 &&
            strcmp(mapping->build_id, location->mapping->build_id) == 0 && offset >= mapping->offset &&
            offset - mapping->offset < mapping->limit - mapping->start) {
            location->mapping = mapping;
            location->address = mapping->start + (offset - mapping->offset);
            return;
        }
    }
    /* outside of its mapping, as some profiles have no limits: the same file will do, and join_mappings has kept one */
    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct profile_mapping *mapping = &profile->mappings[i];
        if (strcmp(mapping->file, location->mapping->file) == 0 &&
            strcmp(mapping->build_id, location->mapping->build_id) == 0) {
            location->mapping = mapping;
            location->address = mapping->start + (offset - mapping->offset);
            return;
        }
    }
}

static void subtract_sample(struct difference *difference, const struct profile *from,
                            const struct profile_sample *sample, int sign)
{
    struct profile *profile = difference->profile;
    uint32_t *stack = store_array(&profile->store, sample->depth, sizeof *stack);
    char *word = store_take(&profile->store, 9 * (size_t)sample->depth + 1);
    for (uint32_t i = 0; i < sample->depth; i++) {
        struct profile_location location = from->locations[sample->locations[i]];
        stack[i] = words_number(&difference->places, place_word(&profile->store, &location));
        sprintf(word + 9 * (size_t)i, "%08" PRIx32 " ", stack[i]);
        if (stack[i] == profile->location_count) {
            move_location(difference, &location);
            STORE_ROOM(profile->locations, profile->location_count, difference->location_capacity);
            profile->locations[profile->location_count++] = location;
        }
    }
    const uint32_t number = words_number(&difference->stacks, word);
    if (number == profile->sample_count) {
        STORE_ROOM(profile->samples, profile->sample_count, difference->sample_capacity);
        profile->samples[profile->sample_count++] = (struct profile_sample){
            stack, sample->depth, store_array(&profile->store, profile->type_count, sizeof *sample->values)};
    }
    int64_t *values = profile->samples[number].values;
    for (size_t i = 0; i < profile->type_count; i++)
        values[i] = (int64_t)((uint64_t)values[i] + (uint64_t)sign * (uint64_t)sample->values[i]);
}

static void drop_equal(struct profile *profile)
{
    size_t kept = 0;
    for (size_t i = 0; i < profile->sample_count; i++) {
        bool differs = false;
        for (size_t j = 0; j < profile->type_count; j++)
            differs |= profile->samples[i].values[j] != 0;
        if (differs)
            profile->samples[kept++] = profile->samples[i];
    }
    profile->sample_count = kept;
}

/* Mappings of both: those of `before` only where `after` has nothing of the kind. */
static void join_mappings(struct profile *profile, const struct profile *before, const struct profile *after)
{
    profile->mappings =
        store_array(&profile->store, before->mapping_count + after->mapping_count, sizeof *profile->mappings);
    for (size_t i = 0; i < after->mapping_count; i++)
        profile->mappings[profile->mapping_count++] = after->mappings[i];
    for (size_t i = 0; i < before->mapping_count; i++) {
        bool known = false;
        for (size_t j = 0; j < after->mapping_count; j++)
            known |= strcmp(before->mappings[i].file, after->mappings[j].file) == 0 &&
                     strcmp(before->mappings[i].build_id, after->mappings[j].build_id) == 0 &&
                     before->mappings[i].offset == after->mappings[j].offset;
        if (!known)
            profile->mappings[profile->mapping_count++] = before->mappings[i];
    }
}

static void *keep(struct profile *profile, void *array, size_t count, size_t bytes)
{
    void *kept = store_array(&profile->store, count, bytes);
    if (count != 0)
        memcpy(kept, array, count * bytes);
    free(array);
    return kept;
}

bool profile_subtract(struct profile *profile, const struct profile *before, const struct profile *after)
{
    bool alike = before->type_count == after->type_count;
    for (size_t i = 0; alike && i < after->type_count; i++)
        alike = strcmp(before->types[i].name, after->types[i].name) == 0;
    if (!alike) {
        fprintf(stderr, "quarry: %s and %s do not count the same things, so they have no difference\n", before->path,
                after->path);
        return false;
    }
    *profile = *after;
    profile->store = (struct store){0};
    profile->mapping_count = profile->location_count = profile->sample_count = profile->comment_count = 0;
    profile->locations = NULL;
    profile->samples = NULL;
    join_mappings(profile, before, after);
    struct difference difference = {.profile = profile};
    for (size_t i = 0; i < after->sample_count; i++)
        subtract_sample(&difference, after, &after->samples[i], 1);
    for (size_t i = 0; i < before->sample_count; i++)
        subtract_sample(&difference, before, &before->samples[i], -1);
    drop_equal(profile);
    profile->locations = keep(profile, profile->locations, profile->location_count, sizeof *profile->locations);
    profile->samples = keep(profile, profile->samples, profile->sample_count, sizeof *profile->samples);
    words_free(&difference.places);
    words_free(&difference.stacks);
    return true;
}
