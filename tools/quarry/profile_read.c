/*
 * profile_read.c: reading profile.proto (pprof's format), without a library for protocol buffers.
 *
 *     message = field*      field = key value      key = number << 3 | wire type
 *     wire types: 0 varint, 1 eight bytes, 2 length and as many bytes (a text, a message, packed numbers), 5 four bytes
 *
 * A file is looked at three times: to count what there is, so that arrays can be made; for texts, since everything
 * names them by number and they may come last; and for all the rest. After that, ids are replaced by pointers and array
 * indexes.
 *
 * I1  Nothing is read outside [at, end) of a reader, and a message's reader lies inside the reader that it came from.
 * I2  Every array is as large as its first count, and the later looks cannot find more: they read the same bytes.
 * I3  What a file says about numbers of others (texts, functions, mappings, locations) is checked when it is used.
 * I4  The first error is said, with the file and the offset; later ones are not.
 */
#include "profile_data.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

enum { FILE_LIMIT = 1 << 30 };

static unsigned char *load(int fd, const char *path, size_t *length)
{
    size_t capacity = 0;
    unsigned char *bytes = NULL;
    for (*length = 0;;) {
        if (*length == FILE_LIMIT) {
            fprintf(stderr, "quarry: %s: larger than 1 GiB\n", path);
            break;
        }
        if (*length == capacity) {
            capacity = capacity == 0 ? 64 << 10 : 2 * capacity;
            bytes = store_grow(bytes, capacity + 1, 1);
        }
        const ssize_t got = read(fd, bytes + *length, capacity - *length);
        if (got > 0) {
            *length += (size_t)got;
        } else if (got == 0) {
            bytes[*length] = '\0';
            return bytes;
        } else if (errno != EINTR) {
            fprintf(stderr, "quarry: %s: %s\n", path, strerror(errno));
            break;
        }
    }
    free(bytes);
    return NULL;
}

unsigned char *profile_load(const char *path, size_t *length)
{
    if (strcmp(path, "-") == 0)
        return load(STDIN_FILENO, "standard input", length);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "quarry: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    unsigned char *bytes = load(fd, path, length);
    close(fd);
    return bytes;
}

static bool starts_with(const unsigned char *bytes, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(bytes, start, strlen(start)) == 0;
}

/* A profile.proto starts with its sample types, as everybody writes them, whose key is a line feed, or has other bytes that no text has. */
enum profile_format profile_guess(const unsigned char *bytes, size_t length)
{
    if (length == 0 || starts_with(bytes, length, "\x1f\x8b"))
        return PROFILE_UNKNOWN;
    size_t start = 0;
    while (start < length && isspace(bytes[start]))
        start++;
    if (start < length && bytes[start] == '{')
        return PROFILE_STATS;
    if (starts_with(bytes, length, "heap profile:"))
        return PROFILE_LEGACY;
    for (size_t i = 0; i < length && i < 512; i++)
        if (bytes[0] == '\n' || (bytes[i] < ' ' && strchr("\t\n\r", bytes[i]) == NULL) || bytes[i] == '\0')
            return PROFILE_PPROF;
    return PROFILE_COLLAPSED;
}

/* ---- the wire ---- */

struct reader {
    const unsigned char *at, *end;
    struct source *source;
};

struct source {
    const char *path;
    const unsigned char *start;
    bool failed;
};

enum wire { WIRE_VARINT = 0, WIRE_EIGHT = 1, WIRE_BYTES = 2, WIRE_FOUR = 5 };

struct field {
    const unsigned char *key; /* where it is, for errors */
    uint64_t number;
    enum wire wire;
    uint64_t value;       /* a varint's */
    struct reader inside; /* of bytes */
};

static __attribute__((format(printf, 3, 4))) bool fail(struct source *source, const unsigned char *at,
                                                       const char *format, ...)
{
    if (source->failed)
        return false;
    source->failed = true;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "quarry: %s: offset %zu: ", source->path, (size_t)(at - source->start));
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static bool read_varint(struct reader *reader, uint64_t *value)
{
    const unsigned char *start = reader->at;
    *value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (reader->at == reader->end)
            return fail(reader->source, start, "the file ends inside a number, or its message does");
        const unsigned char byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return fail(reader->source, start, "a number of more than 64 bits");
}

/* False at the end and after an error. */
static bool next_field(struct reader *reader, struct field *field)
{
    if (reader->source->failed || reader->at == reader->end)
        return false;
    *field = (struct field){.key = reader->at, .inside = {.source = reader->source}};
    uint64_t key;
    if (!read_varint(reader, &key))
        return false;
    field->number = key >> 3;
    field->wire = key & 7;
    if (field->number == 0)
        return fail(reader->source, field->key, "a field with number 0: not a profile");
    switch (field->wire) {
    case WIRE_VARINT: return read_varint(reader, &field->value);
    case WIRE_EIGHT:
    case WIRE_FOUR: field->value = field->wire == WIRE_EIGHT ? 8 : 4; break;
    case WIRE_BYTES:
        if (!read_varint(reader, &field->value))
            return false;
        break;
    default: return fail(reader->source, field->key, "wire type %d does not exist: not a profile", field->wire);
    }
    const size_t left = (size_t)(reader->end - reader->at);
    if (field->value > left)
        return fail(reader->source, field->key, "%" PRIu64 " bytes are announced and %zu are left", field->value, left);
    field->inside = (struct reader){reader->at, reader->at + field->value, reader->source};
    reader->at += field->value;
    return true;
}

/* Whether it is field `number`, and of this type; another type is an error. */
static bool is_field(const struct field *field, uint64_t number, enum wire wire)
{
    if (field->number != number)
        return false;
    return field->wire == wire || fail(field->inside.source, field->key,
                                       "field %" PRIu64 " has wire type %d instead of %d", number, field->wire, wire);
}

/* Numbers come one by one or packed; either way each is handed out once. False: there is no further one. */
struct numbers {
    struct reader packed;
    bool single, taken;
    uint64_t value;
};

static bool is_numbers(const struct field *field, uint64_t number, struct numbers *numbers)
{
    *numbers = (struct numbers){field->inside, field->wire == WIRE_VARINT, false, field->value};
    if (field->number != number)
        return false;
    return field->wire == WIRE_VARINT || field->wire == WIRE_BYTES ||
           fail(field->inside.source, field->key, "field %" PRIu64 " has wire type %d", number, field->wire);
}

static bool next_number(struct numbers *numbers, uint64_t *number)
{
    if (!numbers->single)
        return numbers->packed.at < numbers->packed.end && read_varint(&numbers->packed, number);
    *number = numbers->value;
    const bool first = !numbers->taken;
    numbers->taken = true;
    return first;
}

/* ---- messages ---- */

enum { /* fields of Profile */
       SAMPLE_TYPE = 1,
       SAMPLE = 2,
       MAPPING = 3,
       LOCATION = 4,
       FUNCTION = 5,
       STRING = 6,
       TIME_NANOS = 9,
       DURATION_NANOS = 10,
       PERIOD_TYPE = 11,
       PERIOD = 12,
       COMMENT = 13,
       DEFAULT_TYPE = 14,
       FIELDS
};

/* The array that an id leads to, sorted by id. */
struct id {
    uint64_t id;
    uint32_t index;
};

struct function {
    const char *name, *file;
};

struct parse {
    struct source source;
    struct profile *profile;
    const char **strings;
    struct function *functions;
    struct id *mapping_ids, *location_ids, *function_ids;
    size_t count[FIELDS]; /* as the first look counted */
    size_t string_count, function_count;
};

static const char *string_at(struct parse *parse, const struct field *field, uint64_t number)
{
    if (number < parse->string_count)
        return parse->strings[number];
    fail(&parse->source, field->key, "text %" PRIu64 " of %zu", number, parse->string_count);
    return "";
}

static void count_fields(struct parse *parse, struct reader reader)
{
    struct field field;
    while (next_field(&reader, &field)) {
        struct numbers numbers;
        uint64_t number;
        if (is_numbers(&field, COMMENT, &numbers)) {
            while (next_number(&numbers, &number))
                parse->count[COMMENT]++;
        } else if (field.number < FIELDS) {
            parse->count[field.number]++;
        }
    }
}

static void read_strings(struct parse *parse, struct reader reader)
{
    struct field field;
    while (next_field(&reader, &field)) {
        if (!is_field(&field, STRING, WIRE_BYTES))
            continue;
        const size_t length = (size_t)(field.inside.end - field.inside.at);
        if (memchr(field.inside.at, '\0', length) != NULL) {
            fail(&parse->source, field.key, "a text with a zero byte");
            return;
        }
        parse->strings[parse->string_count++] =
            store_text(&parse->profile->store, (const char *)field.inside.at, length);
    }
}

static void read_type(struct parse *parse, struct reader reader, struct profile_type *type)
{
    struct field field;
    *type = (struct profile_type){"", ""};
    while (next_field(&reader, &field)) {
        if (is_field(&field, 1, WIRE_VARINT))
            type->name = string_at(parse, &field, field.value);
        else if (is_field(&field, 2, WIRE_VARINT))
            type->unit = string_at(parse, &field, field.value);
    }
}

static void read_mapping(struct parse *parse, struct reader reader, size_t index)
{
    struct profile_mapping *mapping = &parse->profile->mappings[index];
    struct field field;
    *mapping = (struct profile_mapping){.file = "", .build_id = ""};
    parse->mapping_ids[index].index = (uint32_t)index;
    while (next_field(&reader, &field)) {
        if (is_field(&field, 1, WIRE_VARINT))
            parse->mapping_ids[index].id = field.value;
        else if (is_field(&field, 2, WIRE_VARINT))
            mapping->start = field.value;
        else if (is_field(&field, 3, WIRE_VARINT))
            mapping->limit = field.value;
        else if (is_field(&field, 4, WIRE_VARINT))
            mapping->offset = field.value;
        else if (is_field(&field, 5, WIRE_VARINT))
            mapping->file = string_at(parse, &field, field.value);
        else if (is_field(&field, 6, WIRE_VARINT))
            mapping->build_id = string_at(parse, &field, field.value);
    }
}

static void read_function(struct parse *parse, struct reader reader, size_t index)
{
    struct function *function = &parse->functions[index];
    const char *system_name = "";
    struct field field;
    *function = (struct function){"", ""};
    parse->function_ids[index].index = (uint32_t)index;
    while (next_field(&reader, &field)) {
        if (is_field(&field, 1, WIRE_VARINT))
            parse->function_ids[index].id = field.value;
        else if (is_field(&field, 2, WIRE_VARINT))
            function->name = string_at(parse, &field, field.value);
        else if (is_field(&field, 3, WIRE_VARINT))
            system_name = string_at(parse, &field, field.value);
        else if (is_field(&field, 4, WIRE_VARINT))
            function->file = string_at(parse, &field, field.value);
    }
    if (function->name[0] == '\0')
        function->name = system_name;
}

static int compare_ids(const void *left, const void *right)
{
    const struct id *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static const struct id *find_id(const struct id *ids, size_t count, uint64_t id)
{
    const struct id key = {id, 0};
    return count == 0 ? NULL : bsearch(&key, ids, count, sizeof *ids, compare_ids);
}

static void sort_ids(struct parse *parse, struct id *ids, size_t count, const char *kind)
{
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++)
        if (ids[i].id == 0 || (i > 0 && ids[i].id == ids[i - 1].id))
            fail(&parse->source, parse->source.start, "%s id %" PRIu64 " %s", kind, ids[i].id,
                 ids[i].id == 0 ? "is not an id" : "appears twice");
}

static void read_line(struct parse *parse, struct reader reader, struct profile_line *line)
{
    struct field field;
    *line = (struct profile_line){"", "", 0};
    while (next_field(&reader, &field)) {
        if (is_field(&field, 1, WIRE_VARINT)) {
            const struct id *id = find_id(parse->function_ids, parse->function_count, field.value);
            if (id == NULL) {
                fail(&parse->source, field.key, "there is no function %" PRIu64, field.value);
                return;
            }
            line->function = parse->functions[id->index].name;
            line->file = parse->functions[id->index].file;
        } else if (is_field(&field, 2, WIRE_VARINT)) {
            line->line = field.value > UINT32_MAX ? 0 : (uint32_t)field.value;
        }
    }
}

static void read_location(struct parse *parse, struct reader reader, size_t index)
{
    struct profile_location *location = &parse->profile->locations[index];
    struct field field;
    parse->location_ids[index].index = (uint32_t)index;
    size_t line_count = 0;
    for (struct reader look = reader; next_field(&look, &field);)
        line_count += is_field(&field, 4, WIRE_BYTES);
    location->lines = store_array(&parse->profile->store, line_count, sizeof *location->lines);
    while (next_field(&reader, &field)) {
        if (is_field(&field, 1, WIRE_VARINT)) {
            parse->location_ids[index].id = field.value;
        } else if (is_field(&field, 2, WIRE_VARINT)) {
            const struct id *id = find_id(parse->mapping_ids, parse->profile->mapping_count, field.value);
            if (id == NULL && field.value != 0)
                fail(&parse->source, field.key, "there is no mapping %" PRIu64, field.value);
            location->mapping = id == NULL ? NULL : &parse->profile->mappings[id->index];
        } else if (is_field(&field, 3, WIRE_VARINT)) {
            location->address = field.value;
        } else if (is_field(&field, 4, WIRE_BYTES)) {
            read_line(parse, field.inside, &location->lines[location->line_count++]);
        }
    }
}

static void read_sample(struct parse *parse, struct reader reader, const unsigned char *at, size_t index)
{
    struct profile *profile = parse->profile;
    struct profile_sample *sample = &profile->samples[index];
    struct numbers numbers;
    struct field field;
    uint64_t number;
    size_t depth = 0, value_count = 0;
    for (struct reader look = reader; next_field(&look, &field);)
        if (is_numbers(&field, 1, &numbers))
            while (next_number(&numbers, &number))
                depth++;
    sample->locations = store_array(&profile->store, depth, sizeof *sample->locations);
    sample->values = store_array(&profile->store, profile->type_count, sizeof *sample->values);
    while (next_field(&reader, &field)) {
        if (is_numbers(&field, 1, &numbers)) {
            while (next_number(&numbers, &number)) {
                const struct id *id = find_id(parse->location_ids, profile->location_count, number);
                if (id == NULL) {
                    fail(&parse->source, field.key, "there is no location %" PRIu64, number);
                    return;
                }
                sample->locations[sample->depth++] = id->index;
            }
        } else if (is_numbers(&field, 2, &numbers)) {
            while (next_number(&numbers, &number)) {
                if (value_count < profile->type_count)
                    sample->values[value_count] = (int64_t)number;
                value_count++;
            }
        }
    }
    if (value_count != profile->type_count)
        fail(&parse->source, at, "a sample has %zu values, and there are %zu types", value_count, profile->type_count);
}

/* Texts exist; types, functions, mappings and their ids are next. */
static void read_tables(struct parse *parse, struct reader reader)
{
    struct profile *profile = parse->profile;
    struct numbers numbers;
    struct field field;
    uint64_t number;
    while (next_field(&reader, &field)) {
        if (is_field(&field, SAMPLE_TYPE, WIRE_BYTES))
            read_type(parse, field.inside, &profile->types[profile->type_count++]);
        else if (is_field(&field, MAPPING, WIRE_BYTES))
            read_mapping(parse, field.inside, profile->mapping_count++);
        else if (is_field(&field, FUNCTION, WIRE_BYTES))
            read_function(parse, field.inside, parse->function_count++);
        else if (is_field(&field, TIME_NANOS, WIRE_VARINT))
            profile->time_ns = (int64_t)field.value;
        else if (is_field(&field, DURATION_NANOS, WIRE_VARINT))
            profile->duration_ns = (int64_t)field.value;
        else if (is_field(&field, PERIOD_TYPE, WIRE_BYTES))
            read_type(parse, field.inside, &profile->period_type);
        else if (is_field(&field, PERIOD, WIRE_VARINT))
            profile->period = (int64_t)field.value;
        else if (is_numbers(&field, COMMENT, &numbers))
            while (next_number(&numbers, &number))
                profile->comments[profile->comment_count++] = string_at(parse, &field, number);
        else if (is_field(&field, DEFAULT_TYPE, WIRE_VARINT))
            profile->default_type = string_at(parse, &field, field.value);
    }
    sort_ids(parse, parse->mapping_ids, profile->mapping_count, "mapping");
    sort_ids(parse, parse->function_ids, parse->function_count, "function");
}

static void read_locations(struct parse *parse, struct reader reader)
{
    struct field field;
    while (next_field(&reader, &field))
        if (is_field(&field, LOCATION, WIRE_BYTES))
            read_location(parse, field.inside, parse->profile->location_count++);
    sort_ids(parse, parse->location_ids, parse->profile->location_count, "location");
}

static void read_samples(struct parse *parse, struct reader reader)
{
    struct field field;
    while (next_field(&reader, &field))
        if (is_field(&field, SAMPLE, WIRE_BYTES))
            read_sample(parse, field.inside, field.key, parse->profile->sample_count++);
}

static void make_arrays(struct parse *parse)
{
    struct profile *profile = parse->profile;
    const size_t *count = parse->count;
    profile->types = store_array(&profile->store, count[SAMPLE_TYPE], sizeof *profile->types);
    profile->samples = store_array(&profile->store, count[SAMPLE], sizeof *profile->samples);
    profile->mappings = store_array(&profile->store, count[MAPPING], sizeof *profile->mappings);
    profile->locations = store_array(&profile->store, count[LOCATION], sizeof *profile->locations);
    profile->comments = store_array(&profile->store, count[COMMENT], sizeof *profile->comments);
    parse->strings = store_array(&profile->store, count[STRING], sizeof *parse->strings);
    parse->functions = store_array(&profile->store, count[FUNCTION], sizeof *parse->functions);
    parse->mapping_ids = store_array(&profile->store, count[MAPPING], sizeof *parse->mapping_ids);
    parse->location_ids = store_array(&profile->store, count[LOCATION], sizeof *parse->location_ids);
    parse->function_ids = store_array(&profile->store, count[FUNCTION], sizeof *parse->function_ids);
}

bool profile_parse_pprof(struct profile *profile, const unsigned char *bytes, size_t length)
{
    struct parse parse = {.source = {profile->path, bytes, false}, .profile = profile};
    const struct reader reader = {bytes, bytes + length, &parse.source};
    profile->period_type = (struct profile_type){"", ""};
    profile->default_type = "";
    count_fields(&parse, reader);
    if (parse.source.failed)
        return false;
    make_arrays(&parse);
    read_strings(&parse, reader);
    read_tables(&parse, reader);
    read_locations(&parse, reader);
    read_samples(&parse, reader);
    if (!parse.source.failed && profile->type_count == 0)
        return fail(&parse.source, bytes, "no sample types: not a profile");
    return !parse.source.failed;
}

/* ---- any format ---- */

bool profile_parse(struct profile *profile, const char *path, const unsigned char *bytes, size_t length)
{
    profile->path = path;
    struct source source = {path, bytes, false};
    switch (profile_guess(bytes, length)) {
    case PROFILE_PPROF: return profile_parse_pprof(profile, bytes, length);
    case PROFILE_LEGACY: return profile_parse_legacy(profile, (const char *)bytes, length);
    case PROFILE_COLLAPSED: return profile_parse_collapsed(profile, (const char *)bytes, length);
    case PROFILE_STATS: return fail(&source, bytes, "statistics and not a profile; quarry report reads these");
    default: break;
    }
    return length == 0 ? fail(&source, bytes, "the file is empty")
                       : fail(&source, bytes, "compressed; unpack it first (gunzip)");
}

bool profile_read(struct profile *profile, const char *path)
{
    size_t length;
    unsigned char *bytes = profile_load(path, &length);
    if (bytes == NULL)
        return false;
    const bool read = profile_parse(profile, path, bytes, length);
    free(bytes);
    return read;
}
