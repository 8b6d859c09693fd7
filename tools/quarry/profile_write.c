/*
 * profile_write.c: a profile as profile.proto, uncompressed, and as "heap profile:" text.
 *
 * A message's length stands before it, so messages are composed in a buffer first; they are small.
 */
#include "profile_data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- the wire ---- */

struct message {
    unsigned char *bytes;
    size_t length, capacity;
};

static void put_varint(struct message *message, uint64_t value)
{
    do {
        STORE_ROOM(message->bytes, message->length, message->capacity);
        message->bytes[message->length++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
}

/* 0 is what a reader assumes of a field that is not there. */
static void put_number(struct message *message, unsigned field, uint64_t value)
{
    if (value == 0)
        return;
    put_varint(message, field << 3);
    put_varint(message, value);
}

static void put_bytes(struct message *message, unsigned field, const void *bytes, size_t length)
{
    put_varint(message, field << 3 | 2);
    put_varint(message, length);
    for (size_t i = 0; i < length; i++) {
        STORE_ROOM(message->bytes, message->length, message->capacity);
        message->bytes[message->length++] = ((const unsigned char *)bytes)[i];
    }
}

/* Moves a message into another one, and is ready for the next. */
static void put_message(struct message *message, unsigned field, struct message *inside)
{
    put_bytes(message, field, inside->bytes, inside->length);
    inside->length = 0;
}

/* ---- pprof ---- */

struct writer {
    const struct profile *profile;
    struct message all, one, inner;
    struct words strings, functions;
};

static uint64_t string_of(struct writer *writer, const char *text)
{
    return words_number(&writer->strings, text);
}

static void put_type(struct writer *writer, unsigned field, const struct profile_type *type)
{
    put_number(&writer->one, 1, string_of(writer, type->name));
    put_number(&writer->one, 2, string_of(writer, type->unit));
    put_message(&writer->all, field, &writer->one);
}

static void put_samples(struct writer *writer)
{
    const struct profile *profile = writer->profile;
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        for (uint32_t j = 0; j < sample->depth; j++)
            put_varint(&writer->inner, (uint64_t)sample->locations[j] + 1);
        put_message(&writer->one, 1, &writer->inner);
        for (size_t j = 0; j < profile->type_count; j++)
            put_varint(&writer->inner, (uint64_t)sample->values[j]);
        put_message(&writer->one, 2, &writer->inner);
        put_message(&writer->all, 2, &writer->one);
    }
}

static bool has_lines(const struct profile *profile, const struct profile_mapping *mapping)
{
    for (size_t i = 0; i < profile->location_count; i++)
        if (profile->locations[i].mapping == mapping && profile->locations[i].line_count != 0)
            return true;
    return false;
}

static void put_mappings(struct writer *writer)
{
    const struct profile *profile = writer->profile;
    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct profile_mapping *mapping = &profile->mappings[i];
        put_number(&writer->one, 1, i + 1);
        put_number(&writer->one, 2, mapping->start);
        put_number(&writer->one, 3, mapping->limit);
        put_number(&writer->one, 4, mapping->offset);
        put_number(&writer->one, 5, string_of(writer, mapping->file));
        put_number(&writer->one, 6, string_of(writer, mapping->build_id));
        /* functions, files, lines and inlined functions are there: a reader need not look for them */
        if (has_lines(profile, mapping))
            for (unsigned field = 7; field <= 10; field++)
                put_number(&writer->one, field, 1);
        put_message(&writer->all, 3, &writer->one);
    }
}

/* A function is its name and its file. */
static uint64_t function_of(struct writer *writer, const struct profile_line *line)
{
    struct store store = {0};
    const size_t known = writer->functions.count;
    const uint64_t id =
        (uint64_t)words_number(&writer->functions, store_format(&store, "%s\n%s", line->function, line->file)) + 1;
    store_free(&store);
    if (writer->functions.count != known) {
        struct message function = {0};
        put_number(&function, 1, id);
        put_number(&function, 2, string_of(writer, line->function));
        put_number(&function, 3, string_of(writer, line->function));
        put_number(&function, 4, string_of(writer, line->file));
        put_message(&writer->all, 5, &function);
        free(function.bytes);
    }
    return id;
}

static void put_locations(struct writer *writer)
{
    const struct profile *profile = writer->profile;
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct profile_location *location = &profile->locations[i];
        put_number(&writer->one, 1, i + 1);
        put_number(&writer->one, 2,
                   location->mapping == NULL ? 0 : (uint64_t)(location->mapping - profile->mappings) + 1);
        put_number(&writer->one, 3, location->address);
        for (uint32_t j = 0; j < location->line_count; j++) {
            put_number(&writer->inner, 1, function_of(writer, &location->lines[j]));
            put_number(&writer->inner, 2, location->lines[j].line);
            put_message(&writer->one, 4, &writer->inner);
        }
        put_message(&writer->all, 4, &writer->one);
    }
}

void profile_write_pprof(const struct profile *profile, FILE *out)
{
    struct writer writer = {.profile = profile};
    string_of(&writer, "");
    for (size_t i = 0; i < profile->type_count; i++)
        put_type(&writer, 1, &profile->types[i]);
    put_samples(&writer);
    put_mappings(&writer);
    put_locations(&writer);
    put_number(&writer.all, 9, (uint64_t)profile->time_ns);
    put_number(&writer.all, 10, (uint64_t)profile->duration_ns);
    if (profile->period_type.name[0] != '\0')
        put_type(&writer, 11, &profile->period_type);
    put_number(&writer.all, 12, (uint64_t)profile->period);
    for (size_t i = 0; i < profile->comment_count; i++)
        put_number(&writer.all, 13, string_of(&writer, profile->comments[i]));
    put_number(&writer.all, 14, string_of(&writer, profile->default_type));
    for (size_t i = 0; i < writer.strings.count; i++)
        put_bytes(&writer.all, 6, writer.strings.word[i], strlen(writer.strings.word[i]));
    fwrite(writer.all.bytes, 1, writer.all.length, out);
    words_free(&writer.strings);
    words_free(&writer.functions);
    free(writer.all.bytes);
    free(writer.one.bytes);
    free(writer.inner.bytes);
}

/* ---- legacy text ---- */

static int64_t value_of(const struct profile_sample *sample, int type)
{
    return type < 0 ? 0 : sample->values[type];
}

static void put_counts(FILE *out, const int64_t values[4])
{
    fprintf(out, "%6" PRId64 ": %8" PRId64 " [%6" PRId64 ": %8" PRId64 "] @", values[0], values[1], values[2],
            values[3]);
}

static bool check_legacy(const struct profile *profile)
{
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        for (uint32_t j = 0; j < sample->depth; j++)
            if (profile->locations[sample->locations[j]].address == 0) {
                fprintf(stderr, "quarry: %s: has names without addresses, and the legacy format needs addresses\n",
                        profile->path);
                return false;
            }
    }
    return true;
}

bool profile_write_legacy(const struct profile *profile, FILE *out)
{
    const int types[4] = {profile_find_type(profile, "inuse_objects"), profile_find_type(profile, "inuse_space"),
                          profile_find_type(profile, "alloc_objects"), profile_find_type(profile, "alloc_space")};
    int64_t sum[4] = {0};
    if (types[1] < 0 && types[3] < 0) {
        fprintf(stderr, "quarry: %s: has neither live nor allocated bytes, so it is no heap profile\n", profile->path);
        return false;
    }
    if (!check_legacy(profile))
        return false;
    for (size_t i = 0; i < profile->sample_count; i++)
        for (int j = 0; j < 4; j++)
            sum[j] = (int64_t)((uint64_t)sum[j] + (uint64_t)value_of(&profile->samples[i], types[j]));
    fputs("heap profile: ", out);
    put_counts(out, sum);
    fputs(" heapprofile\n", out);
    for (size_t i = 0; i < profile->sample_count; i++) {
        const struct profile_sample *sample = &profile->samples[i];
        int64_t values[4];
        for (int j = 0; j < 4; j++)
            values[j] = value_of(sample, types[j]);
        put_counts(out, values);
        /* readers take one off, to get from where a call returns to into the call */
        for (uint32_t j = 0; j < sample->depth; j++)
            fprintf(out, " 0x%" PRIx64, profile->locations[sample->locations[j]].address + 1);
        fputc('\n', out);
    }
    fputs("\nMAPPED_LIBRARIES:\n", out);
    for (size_t i = 0; i < profile->mapping_count; i++) {
        const struct profile_mapping *mapping = &profile->mappings[i];
        fprintf(out, "%" PRIx64 "-%" PRIx64 " r-xp %08" PRIx64 " 00:00 0 %s\n", mapping->start, mapping->limit,
                mapping->offset, mapping->file);
    }
    return true;
}
