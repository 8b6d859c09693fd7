/*
 * A minimiser of two-level logic: sums of products are read as text, their products are made as large as they can be,
 * redundant ones are dropped, and the result is written out and compared with the original at random points.
 *
 * The questions on the way ("is this sum always true?") are answered by splitting on a variable and recursing, which
 * makes and drops many small covers: bit vectors of 16 to 40 bytes and growing arrays of pointers, mixed
 * with lines of text.
 */
#include "workload.h"

#include <string.h>

enum { VARIABLE_LIMIT = 100, VARIABLES_PER_WORD = 32 };

/* Two bits a variable: 01 it must be 0, 10 it must be 1, 11 it does not matter; 00 would make the cube empty. */
struct cube {
    uint64_t variables;
    uint64_t word[];
};

struct cover {
    struct cube **cubes;
    size_t count;
    size_t capacity;
    unsigned variables;
};

static size_t cube_words(const struct cube *cube)
{
    return (cube->variables + VARIABLES_PER_WORD - 1) / VARIABLES_PER_WORD;
}

/* The mask of the bits in use in word i. */
static uint64_t word_mask(const struct cube *cube, size_t i)
{
    uint64_t rest = cube->variables - i * VARIABLES_PER_WORD;
    return rest >= VARIABLES_PER_WORD ? UINT64_MAX : (UINT64_C(1) << (2 * rest)) - 1;
}

static struct cube *cube_new(unsigned variables)
{
    size_t words = (variables + VARIABLES_PER_WORD - 1) / VARIABLES_PER_WORD;
    struct cube *cube = take(sizeof *cube + words * sizeof cube->word[0]);
    cube->variables = variables;
    return cube;
}

static unsigned cube_get(const struct cube *cube, unsigned variable)
{
    return (unsigned)(cube->word[variable / VARIABLES_PER_WORD] >> (2 * (variable % VARIABLES_PER_WORD))) & 3;
}

static void cube_set(struct cube *cube, unsigned variable, unsigned bits)
{
    uint64_t *word = &cube->word[variable / VARIABLES_PER_WORD];
    unsigned shift = 2 * (variable % VARIABLES_PER_WORD);
    *word = (*word & ~(UINT64_C(3) << shift)) | (uint64_t)bits << shift;
}

static struct cube *cube_full(unsigned variables)
{
    struct cube *cube = cube_new(variables);
    for (size_t i = 0; i < cube_words(cube); i++)
        cube->word[i] = word_mask(cube, i);
    return cube;
}

static bool cube_is_full(const struct cube *cube)
{
    for (size_t i = 0; i < cube_words(cube); i++)
        if (cube->word[i] != word_mask(cube, i))
            return false;
    return true;
}

/* Whether a and b have no point in common. */
static bool cube_disjoint(const struct cube *a, const struct cube *b)
{
    for (size_t i = 0; i < cube_words(a); i++) {
        uint64_t both = a->word[i] & b->word[i];
        uint64_t some = (both | both >> 1) & UINT64_C(0x5555555555555555);
        if (some != (word_mask(a, i) & UINT64_C(0x5555555555555555)))
            return true;
    }
    return false;
}

static bool cube_contains(const struct cube *a, const struct cube *b)
{
    for (size_t i = 0; i < cube_words(a); i++)
        if (b->word[i] & ~a->word[i])
            return false;
    return true;
}

static struct cover *cover_new(unsigned variables)
{
    struct cover *cover = take(sizeof *cover);
    *cover = (struct cover){.variables = variables};
    return cover;
}

static void cover_add(struct cover *cover, struct cube *cube)
{
    if (cover->count == cover->capacity) {
        cover->capacity = cover->capacity ? cover->capacity * 2 : 4;
        cover->cubes = realloc(cover->cubes, cover->capacity * sizeof(struct cube *));
        check(cover->cubes != NULL, "realloc returned NULL");
    }
    cover->cubes[cover->count++] = cube;
}

static void cover_free(struct cover *cover)
{
    for (size_t i = 0; i < cover->count; i++)
        free(cover->cubes[i]);
    free(cover->cubes);
    free(cover);
}

/* What is left of the cover inside the cube `within`, its variables freed; the cube number `skip` is left out. */
static struct cover *cover_cofactor(const struct cover *cover, const struct cube *within, size_t skip)
{
    struct cover *cofactor = cover_new(cover->variables);
    for (size_t i = 0; i < cover->count; i++) {
        if (i == skip || cube_disjoint(cover->cubes[i], within))
            continue;
        struct cube *cube = cube_new(cover->variables);
        for (size_t w = 0; w < cube_words(cube); w++)
            cube->word[w] = cover->cubes[i]->word[w] | (word_mask(cube, w) & ~within->word[w]);
        cover_add(cofactor, cube);
    }
    return cofactor;
}

/* The variable that most cubes depend on among those that occur both ways; VARIABLE_LIMIT if there is none. */
static unsigned cover_split_variable(const struct cover *cover)
{
    unsigned best = VARIABLE_LIMIT;
    size_t best_count = 0;
    for (unsigned v = 0; v < cover->variables; v++) {
        size_t zeros = 0, ones = 0;
        for (size_t i = 0; i < cover->count; i++) {
            unsigned bits = cube_get(cover->cubes[i], v);
            zeros += bits == 1;
            ones += bits == 2;
        }
        if (zeros && ones && zeros + ones > best_count) {
            best_count = zeros + ones;
            best = v;
        }
    }
    return best;
}

/* Whether the sum is true everywhere. Consumes the cover. */
static bool cover_is_tautology(struct cover *cover)
{
    bool result = false;
    for (size_t i = 0; i < cover->count && !result; i++)
        result = cube_is_full(cover->cubes[i]);
    unsigned variable = result ? VARIABLE_LIMIT : cover_split_variable(cover);
    if (variable < VARIABLE_LIMIT) {
        /* A cover in which every variable occurs one way only is a tautology only if it has the full cube. */
        struct cube *half = cube_full(cover->variables);
        cube_set(half, variable, 1);
        result = cover_is_tautology(cover_cofactor(cover, half, SIZE_MAX));
        if (result) {
            cube_set(half, variable, 2);
            result = cover_is_tautology(cover_cofactor(cover, half, SIZE_MAX));
        }
        free(half);
    }
    cover_free(cover);
    return result;
}

static void cover_remove(struct cover *cover, size_t index)
{
    free(cover->cubes[index]);
    cover->cubes[index] = cover->cubes[--cover->count];
}

static void cover_minimise(struct cover *cover)
{
    for (size_t i = 0; i < cover->count; i++) {
        struct cube *cube = cover->cubes[i];
        for (unsigned v = 0; v < cover->variables; v++) {
            unsigned bits = cube_get(cube, v);
            if (bits == 3)
                continue;
            /* The literal may go if the sum covers the half that would be gained. */
            cube_set(cube, v, 3 - bits);
            bool covered = cover_is_tautology(cover_cofactor(cover, cube, i));
            cube_set(cube, v, covered ? 3 : bits);
        }
        for (size_t j = cover->count; j-- > 0;) {
            if (j != i && cube_contains(cube, cover->cubes[j])) {
                cover_remove(cover, j);
                if (i == cover->count)
                    i = j; /* the cube moved into the gap */
            }
        }
    }
    for (size_t i = cover->count; i-- > 0;)
        if (cover_is_tautology(cover_cofactor(cover, cover->cubes[i], i)))
            cover_remove(cover, i);
}

static bool cover_evaluate(const struct cover *cover, const struct cube *point)
{
    for (size_t i = 0; i < cover->count; i++)
        if (cube_contains(cover->cubes[i], point))
            return true;
    return false;
}

/* A line of text per cube, as lists of strings: the form in which such programs read and write. */
static char **cover_print(const struct cover *cover)
{
    char **lines = calloc(cover->count + 1, sizeof *lines);
    check(lines != NULL, "calloc returned NULL");
    for (size_t i = 0; i < cover->count; i++) {
        char *line = lines[i] = take(cover->variables + 8);
        for (unsigned v = 0; v < cover->variables; v++)
            line[v] = "?01-"[cube_get(cover->cubes[i], v)];
        line[cover->variables] = '\0';
    }
    return lines;
}

static struct cover *cover_parse(char **lines)
{
    struct cover *cover = cover_new(lines[0] ? (unsigned)strlen(lines[0]) : 1);
    for (; *lines; lines++) {
        struct cube *cube = cube_full(cover->variables);
        for (unsigned v = 0; v < cover->variables; v++)
            if ((*lines)[v] != '-')
                cube_set(cube, v, (*lines)[v] == '0' ? 1 : 2);
        cover_add(cover, cube);
    }
    return cover;
}

static void lines_free(char **lines)
{
    for (char **line = lines; *line; line++)
        free(*line);
    free(lines);
}

static struct cover *cover_random(unsigned variables, size_t count, struct random *random)
{
    struct cover *cover = cover_new(variables);
    while (count-- > 0) {
        struct cube *cube = cube_full(variables);
        for (unsigned literals = 2 + random_below(random, 5); literals > 0; literals--)
            cube_set(cube, random_below(random, variables), 1 + random_below(random, 2));
        cover_add(cover, cube);
    }
    return cover;
}

static void minimise_one(struct random *random)
{
    unsigned variables = 8 + random_below(random, VARIABLE_LIMIT / 4);
    struct cover *original = cover_random(variables, 20 + random_below(random, 30), random);
    char **lines = cover_print(original);
    struct cover *cover = cover_parse(lines);
    cover_minimise(cover);
    check(cover->count <= original->count, "the minimiser made more products");

    struct cube *point = cube_full(variables);
    for (size_t tries = 0; tries < 16; tries++) {
        for (unsigned v = 0; v < variables; v++)
            cube_set(point, v, 1 + random_below(random, 2));
        check(cover_evaluate(cover, point) == cover_evaluate(original, point), "the minimiser changed the function");
    }

    lines_free(lines);
    lines_free(cover_print(cover));
    free(point);
    cover_free(cover);
    cover_free(original);
}

static double run_logic(double scale)
{
    struct random random = random_seeded(5);

    double start = now_seconds();
    for (size_t count = scaled(600, scale); count > 0; count--)
        minimise_one(&random);
    return now_seconds() - start;
}

const struct workload logic_workloads[] = {
    {"logic", "two-level logic minimised by recursive splitting", run_logic},
    {0},
};
