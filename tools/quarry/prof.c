/*
 * prof.c: quarry prof, which converts, compares and lists heap profiles.
 */
#include "command.h"

#include "profile_data.h"
#include "symbols.h"
#include "tree.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: quarry prof [options] FILE\n"
    "Lists, converts or compares heap profiles (pprof, legacy text, collapsed stacks).\n"
    "  -f, --format=FORMAT  text (default), pprof, legacy, collapsed, folded\n"
    "  -v, --value=VALUE    live (default), allocated, peak, pinned, objects, calls, or a sample type's name\n"
    "  -d, --diff=BASE      what FILE has more than the profile BASE\n"
    "  -n, --no-symbols     addresses as module and offset\n"
    "  -o, --output=FILE    instead of standard output\n"
    "  -h, --help           this\n";

struct request {
    const char *path, *base, *value, *output;
    enum profile_format format; /* PROFILE_UNKNOWN: text */
    bool symbols;
};

/* ---- text ---- */

enum { TEXT_ROWS = 40 };

static const struct tree_sum *sorted_sums;

static uint64_t magnitude(int64_t number)
{
    return number < 0 ? -(uint64_t)number : (uint64_t)number;
}

static int compare_rows(const void *left, const void *right)
{
    const struct tree_sum *a = &sorted_sums[*(const uint32_t *)left], *b = &sorted_sums[*(const uint32_t *)right];
    const uint64_t self_a = magnitude(a->self), self_b = magnitude(b->self);
    if (self_a != self_b)
        return self_a < self_b ? 1 : -1;
    const uint64_t total_a = magnitude(a->total), total_b = magnitude(b->total);
    if (total_a != total_b)
        return total_a < total_b ? 1 : -1;
    return *(const uint32_t *)left < *(const uint32_t *)right ? -1 : 1;
}

static double percent(int64_t part, int64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void put_text(const struct profile *profile, int type, const struct tree *tree, bool difference, FILE *out)
{
    struct tree_sum *sums = tree_sums(tree, 0);
    uint32_t *order = store_grow(NULL, tree->words.count, sizeof *order);
    size_t count = 0, rows = 0;
    int64_t all = 0;
    for (uint32_t i = 1; i < tree->words.count; i++)
        order[count++] = i;
    sorted_sums = sums;
    qsort(order, count, sizeof *order, compare_rows);
    for (size_t i = 0; i < tree->count; i++)
        all = (int64_t)((uint64_t)all + (uint64_t)tree->self[i]);
    fprintf(out, "%s, %s%s: %" PRId64 " in all, estimated from samples\n", profile->types[type].name,
            profile->types[type].unit, difference ? ", difference" : "", all);
    if (count != 0)
        fprintf(out, "%14s %6s %14s %6s  %s\n", "self", "", "with callees", "", "function");
    for (size_t i = 0; i < count && rows < TEXT_ROWS; i++) {
        const struct tree_sum *sum = &sums[order[i]];
        if (sum->self == 0 && sum->total == 0)
            continue;
        fprintf(out, "%14" PRId64 " %5.1f%% %14" PRId64 " %5.1f%%  %s\n", sum->self, percent(sum->self, all),
                sum->total, percent(sum->total, all), tree->words.word[order[i]]);
        rows++;
    }
    if (rows == TEXT_ROWS && count > rows)
        fprintf(out, "(and %zu more)\n", count - rows);
    free(order);
    free(sums);
}

/* ---- the work ---- */

static int choose_type(const struct profile *profile, const char *name)
{
    int type = -1;
    if (name != NULL) {
        type = profile_find_type(profile, name);
        if (type < 0) {
            fprintf(stderr, "quarry: %s: has no value \"%s\"; it has", profile->path, name);
            for (size_t i = 0; i < profile->type_count; i++)
                fprintf(stderr, "%s %s", i == 0 ? "" : ",", profile->types[i].name);
            fputc('\n', stderr);
        }
        return type;
    }
    if (profile->default_type[0] != '\0')
        type = profile_find_type(profile, profile->default_type);
    if (type < 0)
        type = profile_find_type(profile, "live");
    return type < 0 ? (int)profile->type_count - 1 : type;
}

/* base may be NULL. */
static bool put_stacks(const struct request *request, const struct profile *base, const struct profile *profile,
                       FILE *out)
{
    const int type = choose_type(profile, request->value);
    const int base_type = base == NULL || type < 0 ? 0 : profile_find_type(base, profile->types[type].name);
    const bool symbols = request->symbols && request->format != PROFILE_COLLAPSED;
    if (type < 0)
        return false;
    if (base_type < 0) {
        fprintf(stderr, "quarry: %s: has no value \"%s\"\n", base->path, profile->types[type].name);
        return false;
    }
    struct tree tree;
    tree_start(&tree, base == NULL ? 1 : 2);
    if (base != NULL)
        tree_add(&tree, base, (size_t)base_type, 0, symbols);
    tree_add(&tree, profile, (size_t)type, base == NULL ? 0 : 1, symbols);
    tree_write_folded(&tree, out);
    tree_free(&tree);
    return true;
}

static bool put_list(const struct request *request, const struct profile *base, const struct profile *profile,
                     FILE *out)
{
    const int type = choose_type(profile, request->value);
    struct profile difference = {0};
    if (type < 0 || (base != NULL && !profile_subtract(&difference, base, profile)))
        return false;
    struct tree tree;
    tree_start(&tree, 1);
    tree_add(&tree, base == NULL ? profile : &difference, (size_t)type, 0, request->symbols);
    tree_finish(&tree);
    put_text(profile, type, &tree, base != NULL, out);
    tree_free(&tree);
    profile_free(&difference);
    return true;
}

static bool put_profile(const struct request *request, const struct profile *base, const struct profile *profile,
                        FILE *out)
{
    struct profile difference = {0};
    if (base != NULL) {
        if (!profile_subtract(&difference, base, profile))
            return false;
        profile = &difference;
    }
    bool written = true;
    if (request->format == PROFILE_PPROF)
        profile_write_pprof(profile, out);
    else
        written = profile_write_legacy(profile, out);
    profile_free(&difference);
    return written;
}

static bool put(const struct request *request, const struct profile *base, const struct profile *profile, FILE *out)
{
    switch (request->format) {
    case PROFILE_PPROF:
    case PROFILE_LEGACY: return put_profile(request, base, profile, out);
    case PROFILE_COLLAPSED:
    case PROFILE_FOLDED: return put_stacks(request, base, profile, out);
    default: return put_list(request, base, profile, out);
    }
}

/* What is written is composed first: a file is not touched for a conversion that fails. */
static bool write_out(const struct request *request, const char *bytes, size_t length)
{
    FILE *out = request->output == NULL ? stdout : fopen(request->output, "we");
    bool written = out != NULL;
    if (written)
        written = fwrite(bytes, 1, length, out) == length;
    if (out == stdout)
        written = fflush(out) == 0 && written;
    else if (out != NULL)
        written = fclose(out) == 0 && written;
    if (!written)
        fprintf(stderr, "quarry: %s: %s\n", request->output == NULL ? "standard output" : request->output,
                strerror(errno));
    return written;
}

static bool convert(const struct request *request)
{
    struct profile base = {0}, profile = {0};
    const bool needs_symbols =
        request->symbols && request->format != PROFILE_COLLAPSED && request->format != PROFILE_LEGACY;
    bool done = profile_read(&profile, request->path) && (request->base == NULL || profile_read(&base, request->base));
    if (done && needs_symbols) {
        symbols_resolve(&profile);
        symbols_resolve(&base);
    }
    char *bytes = NULL;
    size_t length = 0;
    FILE *memory = done ? open_memstream(&bytes, &length) : NULL;
    if (memory != NULL) {
        done = put(request, request->base == NULL ? NULL : &base, &profile, memory);
        done = fclose(memory) == 0 && done && write_out(request, bytes, length);
    }
    free(bytes);
    profile_free(&base);
    profile_free(&profile);
    return done && memory != NULL;
}

/* ---- the command line ---- */

static bool find_format(const char *name, enum profile_format *format)
{
    static const struct {
        const char *name;
        enum profile_format format;
    } formats[] = {{"text", PROFILE_UNKNOWN},
                   {"pprof", PROFILE_PPROF},
                   {"legacy", PROFILE_LEGACY},
                   {"collapsed", PROFILE_COLLAPSED},
                   {"folded", PROFILE_FOLDED}};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(name, formats[i].name) == 0) {
            *format = formats[i].format;
            return true;
        }
    fprintf(stderr, "quarry prof: no format \"%s\": text, pprof, legacy, collapsed or folded\n", name);
    return false;
}

int prof_command(int argc, char **argv)
{
    static const struct option options[] = {{"format", required_argument, NULL, 'f'},
                                            {"value", required_argument, NULL, 'v'},
                                            {"diff", required_argument, NULL, 'd'},
                                            {"no-symbols", no_argument, NULL, 'n'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct request request = {.symbols = true};
    for (int option; (option = getopt_long(argc, argv, "f:v:d:no:h", options, NULL)) != -1;) {
        switch (option) {
        case 'f':
            if (!find_format(optarg, &request.format))
                return 2;
            break;
        case 'v': request.value = optarg; break;
        case 'd': request.base = optarg; break;
        case 'n': request.symbols = false; break;
        case 'o': request.output = optarg; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind + 1 != argc)
        fail_usage("prof ", optind == argc ? "prof takes a profile"
                                           : "prof takes one profile; --diff=FILE subtracts another one");
    request.path = argv[optind];
    return convert(&request) ? 0 : 1;
}
