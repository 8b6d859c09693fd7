/*
 * pprof.c: the heap profile as a protocol buffer, as pprof's profile.proto defines it. Layer 6.
 *
 *     field   1 sample types   2 samples    3 mappings    4 locations    6 strings, by number in the order in which they come
 *             9 time   10 duration   11, 12 period   13 comments   14 the sample type to show first
 *
 * Not compressed, which readers accept. Everything is written as it comes: a message that lies in another must have its length in
 * front, so it is computed first. A location is a place, and has its number; a mapping is a module's, counted from 1.
 */
#include "pprof.h"

#include "sample.h"

#include <string.h>

/* The fixed strings, by number. */
enum string {
    STRING_EMPTY,
    STRING_COUNT,
    STRING_BYTES,
    STRING_SPACE,
    STRING_ALLOC_OBJECTS,
    STRING_ALLOC_SPACE,
    STRING_INUSE_OBJECTS,
    STRING_INUSE_SPACE,
    STRING_PINNED_SPACE,
    STRING_PEAK_SPACE,
    STRING_FIXED,
};

static const char *const strings[STRING_FIXED] = {"",
                                                  "count",
                                                  "bytes",
                                                  "space",
                                                  "alloc_objects",
                                                  "alloc_space",
                                                  "inuse_objects",
                                                  "inuse_space",
                                                  "pinned_space",
                                                  "peak_space"};

static const struct {
    enum string type, unit;
} types[] = {
    {STRING_ALLOC_OBJECTS, STRING_COUNT}, {STRING_ALLOC_SPACE, STRING_BYTES},  {STRING_INUSE_OBJECTS, STRING_COUNT},
    {STRING_INUSE_SPACE, STRING_BYTES},   {STRING_PINNED_SPACE, STRING_BYTES}, {STRING_PEAK_SPACE, STRING_BYTES},
};
enum { TYPES = sizeof types / sizeof types[0] };

/* ---- the encoding ---- */

enum wire { WIRE_NUMBER = 0, WIRE_BYTES = 2 };

static size_t number_length(uint64_t number)
{
    return number == 0 ? 1 : qyi_log2(number) / 7 + 1;
}

static void put_number(struct qyi_text *text, uint64_t number)
{
    char bytes[10];
    size_t length = 0;
    for (; number >= 0x80; number >>= 7)
        bytes[length++] = (char)(number | 0x80);
    bytes[length++] = (char)number;
    qyi_put_part(text, bytes, length);
}

/* A field's head. All fields have numbers below 16, so it is one byte. */
static void put_head(struct qyi_text *text, unsigned field, enum wire wire)
{
    put_number(text, field << 3 | wire);
}

static size_t field_length(uint64_t number)
{
    return 1 + number_length(number);
}

static void put_field(struct qyi_text *text, unsigned field, uint64_t number)
{
    put_head(text, field, WIRE_NUMBER);
    put_number(text, number);
}

static void put_string(struct qyi_text *text, const char *part, size_t length)
{
    put_head(text, 6, WIRE_BYTES);
    put_number(text, length);
    qyi_put_part(text, part, length);
}

/* ---- the parts ---- */

static void put_value_type(struct qyi_text *text, unsigned field, enum string type, enum string unit)
{
    put_head(text, field, WIRE_BYTES);
    put_number(text, field_length(type) + field_length(unit));
    put_field(text, 1, type);
    put_field(text, 2, unit);
}

static void put_sample(struct qyi_text *text, const struct qyi_stack *stack, const uint64_t value[TYPES])
{
    size_t places = 0;
    for (uint32_t i = 0; i < stack->depth; i++)
        places += stack->place[i] == 0 ? 0 : number_length(stack->place[i]);
    size_t values = 0;
    for (unsigned i = 0; i < TYPES; i++)
        values += number_length(value[i]);
    put_head(text, 2, WIRE_BYTES);
    put_number(text, field_length(places) + places + field_length(values) + values);
    put_head(text, 1, WIRE_BYTES);
    put_number(text, places);
    for (uint32_t i = 0; i < stack->depth; i++) {
        if (stack->place[i] != 0)
            put_number(text, stack->place[i]);
    }
    put_head(text, 2, WIRE_BYTES);
    put_number(text, values);
    for (unsigned i = 0; i < TYPES; i++)
        put_number(text, value[i]);
}

static uint64_t objects(uint64_t objects)
{
    return (objects + (1 << (QYI_WEIGHT_SHIFT - 1))) >> QYI_WEIGHT_SHIFT;
}

static void put_samples(struct qyi_text *text)
{
    for (const struct qyi_stack *stack = qyi_sample_stacks(); stack != NULL; stack = stack->older) {
        struct qyi_stack_values values;
        qyi_sample_read(stack, &values);
        const uint64_t value[TYPES] = {
            objects(values.allocated.objects),
            values.allocated.bytes,
            objects(values.live.objects),
            values.live.bytes,
            values.pinned_bytes,
            values.peak_bytes,
        };
        put_sample(text, stack, value);
    }
}

/* Strings of a module: its name, and its build id. */
static void put_mappings(struct qyi_text *text, const struct qyi_modules *modules)
{
    for (unsigned i = 0; i < modules->count; i++) {
        const struct qyi_module *module = &modules->module[i];
        const uint64_t value[] = {i + 1,          module->start,        module->end,
                                  module->offset, STRING_FIXED + 2 * i, STRING_FIXED + 2 * i + 1};
        size_t length = 0;
        for (unsigned field = 0; field < sizeof value / sizeof value[0]; field++)
            length += field_length(value[field]);
        put_head(text, 3, WIRE_BYTES);
        put_number(text, length);
        for (unsigned field = 0; field < sizeof value / sizeof value[0]; field++)
            put_field(text, field + 1, value[field]);
    }
}

static void put_locations(struct qyi_text *text, const struct qyi_modules *modules)
{
    const uint32_t count = qyi_sample_place_count();
    for (uint32_t number = 1; number <= count; number++) {
        const uintptr_t address = qyi_sample_place(number);
        const unsigned module = qyi_modules_find(modules, address);
        const uint64_t mapping = module == modules->count ? 0 : module + 1;
        put_head(text, 4, WIRE_BYTES);
        put_number(text, field_length(number) + field_length(mapping) + field_length(address));
        put_field(text, 1, number);
        put_field(text, 2, mapping);
        put_field(text, 3, address);
    }
}

static void put_module_strings(struct qyi_text *text, const struct qyi_modules *modules)
{
    static const char digit[] = "0123456789abcdef";
    for (unsigned i = 0; i < modules->count; i++) {
        const struct qyi_module *module = &modules->module[i];
        char hex[2 * QYI_BUILD_ID];
        for (unsigned j = 0; j < module->build_id_length; j++) {
            hex[2 * j] = digit[module->build_id[j] >> 4];
            hex[2 * j + 1] = digit[module->build_id[j] & 15];
        }
        put_string(text, module->name, strlen(module->name));
        put_string(text, hex, 2 * (size_t)module->build_id_length);
    }
}

/* ---- comments: a word, and one or two values ---- */

static void put_comment(struct qyi_text *text, uint64_t *string, const char *word, const char *value)
{
    const size_t word_length = strlen(word);
    const size_t length = strlen(value);
    put_field(text, 13, (*string)++);
    put_head(text, 6, WIRE_BYTES);
    put_number(text, word_length + 1 + length);
    qyi_put_part(text, word, word_length);
    qyi_put(text, " ");
    qyi_put_part(text, value, length);
}

static void put_number_comment(struct qyi_text *text, uint64_t *string, const char *word, uint64_t number)
{
    struct qyi_word value = qyi_number_word(number);
    value.text[value.length] = '\0';
    put_comment(text, string, word, value.text);
}

static void put_comments(struct qyi_text *text, uint64_t string, const struct qyi_pprof_about *about)
{
    struct qyi_sample_totals totals;
    qyi_sample_totals(&totals);
    put_comment(text, &string, "program", about->program);
    put_number_comment(text, &string, "pid", (uint64_t)about->pid);
    put_number_comment(text, &string, "rate", about->rate);
    put_number_comment(text, &string, "samples", totals.samples);
    put_number_comment(text, &string, "lost", totals.lost + totals.forgotten);
    put_number_comment(text, &string, "peak_bytes", totals.peak_bytes);
    for (unsigned log2_us = 0; log2_us < QYI_LIFETIMES; log2_us++) {
        char word[] = "lifetime 00";
        const uint64_t count = objects(totals.lifetime[log2_us]);
        if (count == 0)
            continue;
        size_t digits = strlen("lifetime ");
        if (log2_us >= 10)
            word[digits++] = (char)('0' + log2_us / 10);
        word[digits++] = (char)('0' + log2_us % 10);
        word[digits] = '\0';
        put_number_comment(text, &string, word, count);
    }
}

void qyi_pprof_put(struct qyi_text *text, const struct qyi_modules *modules, const struct qyi_pprof_about *about)
{
    for (unsigned i = 0; i < TYPES; i++)
        put_value_type(text, 1, types[i].type, types[i].unit);
    put_samples(text);
    put_mappings(text, modules);
    put_locations(text, modules);
    for (unsigned i = 0; i < STRING_FIXED; i++)
        put_string(text, strings[i], strlen(strings[i]));
    put_module_strings(text, modules);
    put_field(text, 9, about->time_ns);
    put_field(text, 10, about->duration_ns);
    put_value_type(text, 11, STRING_SPACE, STRING_BYTES);
    put_field(text, 12, about->rate);
    put_field(text, 14, STRING_INUSE_SPACE);
    put_comments(text, STRING_FIXED + 2 * (uint64_t)modules->count, about);
}
