/*
 * options.c: what the environment asks for. Layer 1.
 *
 * The parser runs inside a constructor of somebody else's program, so it neither allocates nor locks nor calls stdio: a
 * value stays where it is in the environment and is cut into pieces (pointer and length); messages are composed on the
 * stack.
 *
 *     QUARRY_OPTIONS=purge:0,thp=never,verbose     an item is "key:value", "key=value" or, for a switch, "key"
 *                    ----- - --- ----- -------     the value is all that follows the first ':' or '='
 *
 * I1  One row of `options` is all that parsing, help and messages know about a key. A new key takes that row, a field
 *     in struct qyi_options, and its default below.
 * I2  qyi_options holds the defaults until qyi_options_read ends, and is assigned once; so the help can show them.
 * I3  Nothing in the environment stops the program: what makes no sense costs one line, and the rest still counts.
 * I4  Text from the environment reaches a message only through add_piece: short, and without control characters.
 */
#define _GNU_SOURCE 1 /* secure_getenv, program_invocation_short_name */

#include "options.h"

#include "fatal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint32_t NEVER = UINT32_MAX; /* of a delay in milliseconds */

struct qyi_options qyi_options = {
    .deepbind_drop = true,
    .thp = QYI_THP_DEFAULT,
    .purge_delay_ms = 500,
    .prof_rate = 512 << 10,
    .stats_files = 16,
};

enum kind {
    KIND_BOOL,         /* a bool; the words mean false and true by turns, and the first two are the ones to show */
    KIND_ENUM,         /* an enum; the words name its values from 0 up */
    KIND_MILLISECONDS, /* a uint32_t; the first word stands for a number, the others mean NEVER */
    KIND_TEXT,         /* a struct qyi_option_text; the words are for the help, and whoever uses it checks it */
    KIND_BYTES,        /* a uint64_t, at least 1; K, M and G behind it multiply */
    KIND_SEED,         /* a uint64_t */
    KIND_SECONDS,      /* a uint32_t from 1 up to limit_of(kind); 0 is for the default alone, and means off */
    KIND_COUNT,        /* the same */
    KIND_PERCENT,      /* the same */
    KIND_SIGNAL,       /* a uint32_t: a signal by name or number */
    KIND_HELP,         /* no field: prints the table */
};

/* No pointers: each would be a relocation, in pages that every process has to read. */
struct option {
    char name[16];
    enum kind kind;
    size_t offset;  /* of the field in struct qyi_options */
    char words[32]; /* the values, separated by '|' */
    char meaning[80];
};

#define SWITCH "0|1|off|on|no|yes|false|true"

static const struct option options[] = {
    {"purge", KIND_MILLISECONDS, offsetof(struct qyi_options, purge_delay_ms), "milliseconds|-1|never",
     "how long free memory stays resident; 0 returns it at once"},
    {"background", KIND_BOOL, offsetof(struct qyi_options, background), SWITCH,
     "a thread that returns free memory while the program is idle"},
    {"thp", KIND_ENUM, offsetof(struct qyi_options, thp), "default|always|never",
     "transparent huge pages; default leaves it to the system"},
    {"deepbind", KIND_BOOL, offsetof(struct qyi_options, deepbind_drop), "keep|drop",
     "RTLD_DEEPBIND in dlopen; drop lets such libraries share this malloc"},
    {"verbose", KIND_BOOL, offsetof(struct qyi_options, verbose), SWITCH,
     "say once what was done on the program's behalf"},
    {"buf_track", KIND_ENUM, offsetof(struct qyi_options, buf_track), "off|sites|full",
     "who retains buffers and does not release them; full: with stacks"},
    {"http", KIND_TEXT, offsetof(struct qyi_options, http), "unix:/path|127.0.0.1:port",
     "serve /metrics, /stats.json and /debug/pprof/heap there"},
    {"prof_rate", KIND_BYTES, offsetof(struct qyi_options, prof_rate), "bytes",
     "heap profile: a sample so often, on average"},
    {"prof_seed", KIND_SEED, offsetof(struct qyi_options, prof_seed), "number",
     "heap profile: equal seeds sample alike; 0 is another one every time"},
    {"prof_format", KIND_ENUM, offsetof(struct qyi_options, prof_format), "pprof|legacy|collapsed",
     "heap profile: how it is written"},
    {"prof_leaks", KIND_BOOL, offsetof(struct qyi_options, prof_leaks), SWITCH,
     "heap profile: say at exit what has not been freed"},
    {"stats_interval", KIND_SECONDS, offsetof(struct qyi_options, stats_interval_s), "seconds",
     "a dump of the statistics that often"},
    {"stats_peak", KIND_BOOL, offsetof(struct qyi_options, stats_peak), SWITCH,
     "a dump when more memory is in use than at the last one, by 10 % and 4 MiB"},
    {"stats_files", KIND_COUNT, offsetof(struct qyi_options, stats_files), "number",
     "how many dumps of peaks are kept, the latest ones"},
    {"stats_cgroup", KIND_PERCENT, offsetof(struct qyi_options, stats_cgroup), "percent",
     "a dump when that much of the cgroup's memory limit is used"},
    {"stats_signal", KIND_SIGNAL, offsetof(struct qyi_options, stats_signal), "name|number",
     "a dump for this signal; for TERM and its like, before the end"},
    {"live", KIND_ENUM, offsetof(struct qyi_options, live), "off|page",
     "numbers in shared memory, for 'quarry' without privilege"},
    {"help", KIND_HELP, 0, "", "print this table and go on"},
};
static const size_t OPTION_COUNT = sizeof options / sizeof options[0];

static_assert(sizeof(enum qyi_track_policy) == sizeof(unsigned), "KIND_ENUM reads and writes an unsigned");
static_assert(sizeof(enum qyi_prof_format) == sizeof(unsigned), "KIND_ENUM reads and writes an unsigned");
static_assert(sizeof(enum qyi_live_policy) == sizeof(unsigned), "KIND_ENUM reads and writes an unsigned");
static_assert(sizeof(enum qyi_thp_policy) == sizeof(unsigned), "KIND_ENUM reads and writes an unsigned");

/* Pieces of text, and lists of words. */

struct piece {
    const char *text;
    size_t length;
};

static struct piece piece_of(const char *text)
{
    return (struct piece){text, strlen(text)};
}

static bool pieces_equal(struct piece a, struct piece b)
{
    return a.length == b.length && memcmp(a.text, b.text, a.length) == 0;
}

/* Cuts off and returns the part of *rest before the first separator, which goes too; all of it when there is none. */
static struct piece take_part(struct piece *rest, const char *separators)
{
    struct piece part = {rest->text, 0};
    while (part.length < rest->length && strchr(separators, part.text[part.length]) == NULL)
        part.length++;
    const size_t taken = qyi_min(part.length + 1, rest->length);
    *rest = (struct piece){rest->text + taken, rest->length - taken};
    return part;
}

/* The position of `value` among the words, or -1. */
static int find_word(const char *words, struct piece value)
{
    struct piece rest = piece_of(words);
    for (int i = 0; rest.length > 0; i++)
        if (pieces_equal(take_part(&rest, "|"), value))
            return i;
    return -1;
}

/* The word at a position, which exists. */
static struct piece word_at(const char *words, unsigned position)
{
    struct piece rest = piece_of(words);
    while (position-- > 0)
        take_part(&rest, "|");
    return take_part(&rest, "|");
}

/* Messages. */

enum { PIECE_LIMIT = 48 }; /* longer text is cut, so that what follows it in the line still fits */

static void add_piece(struct qyi_line *line, struct piece piece)
{
    char copy[PIECE_LIMIT + 1];
    const size_t length = qyi_min(piece.length, PIECE_LIMIT);
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)piece.text[i];
        copy[i] = c < ' ' || c == 0x7f ? '?' : (char)c;
    }
    copy[length] = '\0';
    qyi_line_text(line, copy);
}

/* "default, always or never": the first `limit` of the words. */
static void add_words(struct qyi_line *line, const char *words, size_t limit)
{
    struct piece rest = piece_of(words);
    for (size_t i = 0; i < limit && rest.length > 0; i++) {
        const struct piece word = take_part(&rest, "|");
        const bool last = rest.length == 0 || i + 1 == limit;
        if (i > 0)
            qyi_line_text(line, last ? " or " : ", ");
        add_piece(line, word);
    }
}

static void add_values(struct qyi_line *line, const struct option *option)
{
    add_words(line, option->words, option->kind == KIND_BOOL ? 2 : SIZE_MAX);
}

/* "quarry: VARIABLE: COMPLAINT 'CULPRIT'" */
static void add_complaint(struct qyi_line *line, const char *variable, const char *complaint, struct piece culprit)
{
    qyi_line_text(line, "quarry: ");
    qyi_line_text(line, variable);
    qyi_line_text(line, ": ");
    qyi_line_text(line, complaint);
    qyi_line_text(line, " '");
    add_piece(line, culprit);
    qyi_line_text(line, culprit.length > PIECE_LIMIT ? "...'" : "'");
}

static void warn_bad_value(const struct option *option, struct piece value)
{
    struct qyi_line line = {0};
    add_complaint(&line, "QUARRY_OPTIONS", "bad value", value);
    qyi_line_text(&line, " for '");
    qyi_line_text(&line, option->name);
    qyi_line_text(&line, "' (");
    add_values(&line, option);
    qyi_line_text(&line, ")");
    qyi_line_write(&line, STDERR_FILENO);
}

/* Levenshtein's distance by one row of his table: row[j] is from the name's bytes so far to the key's first j. */
static size_t edit_distance(const char *name, struct piece key)
{
    size_t row[32];
    if (key.length >= sizeof row / sizeof row[0])
        return SIZE_MAX; /* no name is that long */
    for (size_t j = 0; j <= key.length; j++)
        row[j] = j;
    for (size_t i = 0; name[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < key.length; j++) {
            const size_t replaced = diagonal + (name[i] != key.text[j]);
            diagonal = row[j + 1];
            row[j + 1] = qyi_min(replaced, qyi_min(diagonal, row[j]) + 1);
        }
    }
    return row[key.length];
}

static void warn_unknown_key(struct piece key)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const size_t distance = edit_distance(options[i].name, key);
        if (distance < least && distance <= (strlen(options[i].name) + 1) / 2) { /* farther names are no help */
            least = distance;
            nearest = options[i].name;
        }
    }
    struct qyi_line line = {0};
    add_complaint(&line, "QUARRY_OPTIONS", "unknown key", key);
    qyi_line_text(&line, nearest != NULL ? " (did you mean '" : " ('help'");
    qyi_line_text(&line, nearest != NULL ? nearest : " lists them");
    qyi_line_text(&line, nearest != NULL ? "'?)" : ")");
    qyi_line_write(&line, STDERR_FILENO);
}

/* Values. */

/* Decimal digits alone, up to the largest number that is not NEVER. */
static bool parse_number(struct piece text, uint32_t *result)
{
    uint64_t number = 0;
    if (text.length == 0)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.text[i] - '0');
        if (number >= NEVER)
            return false;
    }
    *result = (uint32_t)number;
    return true;
}

/* Decimal digits, and K, M or G if that is allowed. */
static bool parse_large(struct piece text, bool units, uint64_t *result)
{
    uint64_t number = 0;
    unsigned shift = 0;
    if (units && text.length > 1) {
        const char unit = text.text[text.length - 1];
        shift = unit == 'K' || unit == 'k' ? 10 : unit == 'M' || unit == 'm' ? 20 : unit == 'G' || unit == 'g' ? 30 : 0;
        text.length -= shift != 0;
    }
    if (text.length == 0 || text.length > 15)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.text[i] < '0' || text.text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.text[i] - '0');
    }
    if (units && (number == 0 || number > QYI_SIZE_LIMIT >> shift))
        return false;
    *result = number << shift;
    return true;
}

/* Those that a program may get for a reason of its own, or that mean nothing but a wish. */
static const struct {
    const char *name;
    int number;
} signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"USR1", SIGUSR1},    {"USR2", SIGUSR2},
               {"ALRM", SIGALRM}, {"TERM", SIGTERM},   {"CONT", SIGCONT}, {"URG", SIGURG},      {"XCPU", SIGXCPU},
               {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"VTALRM", SIGVTALRM}};

/* "TERM", "SIGTERM", "15", "RTMIN", "RTMIN+3". */
static bool parse_signal(struct piece text, uint32_t *result)
{
    uint32_t number;
    const bool is_number = parse_number(text, &number);
    if (!is_number && text.length > 3 && memcmp(text.text, "SIG", 3) == 0)
        text = (struct piece){text.text + 3, text.length - 3};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (is_number ? number == (uint32_t)signals[i].number : pieces_equal(text, piece_of(signals[i].name))) {
            *result = (uint32_t)signals[i].number;
            return true;
        }
    }
    const uint32_t first = (uint32_t)SIGRTMIN;
    if (!is_number) {
        const struct piece base = take_part(&text, "+");
        if (!pieces_equal(base, piece_of("RTMIN")) || (text.length > 0 && !parse_number(text, &number)) ||
            (text.length > 0 && number > (uint32_t)SIGRTMAX - first))
            return false;
        number = text.length > 0 ? first + number : first;
    }
    if (number < first || number > (uint32_t)SIGRTMAX)
        return false;
    *result = number;
    return true;
}

/* 0: not of this kind. */
static uint32_t limit_of(enum kind kind)
{
    switch (kind) {
    case KIND_SECONDS: return 100000000; /* three years */
    case KIND_COUNT: return 1000;
    case KIND_PERCENT: return 100;
    default: return 0;
    }
}

static bool parse_up_to(uint32_t limit, struct piece text, uint32_t *result)
{
    uint32_t number;
    if (!parse_number(text, &number) || number < 1 || number > limit)
        return false;
    *result = number;
    return true;
}

/* False, and the field as it was, when the text is no value of this option. */
static bool set_value(struct qyi_options *values, const struct option *option, struct piece text)
{
    void *const field = (char *)values + option->offset;
    const int word = find_word(option->words, text);
    if (option->kind == KIND_TEXT) {
        *(struct qyi_option_text *)field = (struct qyi_option_text){text.text, text.length};
        return text.length > 0;
    }
    if (option->kind == KIND_MILLISECONDS && word <= 0)
        return parse_number(text, field);
    if (limit_of(option->kind) != 0)
        return parse_up_to(limit_of(option->kind), text, field);
    if (option->kind == KIND_SIGNAL)
        return parse_signal(text, field);
    if (option->kind == KIND_BYTES || option->kind == KIND_SEED)
        return parse_large(text, option->kind == KIND_BYTES, field);
    if (word < 0)
        return false;
    switch (option->kind) {
    case KIND_BOOL: *(bool *)field = word % 2 != 0; break;
    case KIND_ENUM: *(unsigned *)field = (unsigned)word; break;
    case KIND_MILLISECONDS: *(uint32_t *)field = NEVER; break;
    default: break;
    }
    return true;
}

static void add_default(struct qyi_line *line, const struct option *option)
{
    const void *const field = (const char *)&qyi_options + option->offset;
    switch (option->kind) {
    case KIND_BOOL: add_piece(line, word_at(option->words, *(const bool *)field)); break;
    case KIND_ENUM: add_piece(line, word_at(option->words, *(const unsigned *)field)); break;
    case KIND_MILLISECONDS:
        if (*(const uint32_t *)field == NEVER)
            qyi_line_text(line, "never");
        else
            qyi_line_number(line, *(const uint32_t *)field);
        break;
    case KIND_BYTES:
    case KIND_SEED: qyi_line_number(line, *(const uint64_t *)field); break;
    case KIND_SECONDS:
    case KIND_COUNT:
    case KIND_PERCENT:
    case KIND_SIGNAL:
        if (*(const uint32_t *)field == 0)
            qyi_line_text(line, "off");
        else
            qyi_line_number(line, *(const uint32_t *)field);
        break;
    case KIND_TEXT:
    case KIND_HELP: break;
    }
}

/* Help. */

enum { VALUES_COLUMN = 18, DEFAULT_COLUMN = 46, MEANING_COLUMN = 56 };

static void pad_to(struct qyi_line *line, size_t column)
{
    while (line->length < column)
        qyi_line_text(line, " ");
}

static void print_help(void)
{
    struct qyi_line line = {0};
    qyi_line_text(&line, "quarry: QUARRY_OPTIONS=key:value,key:value,...");
    qyi_line_write(&line, STDERR_FILENO);
    qyi_line_text(&line, "  key");
    pad_to(&line, VALUES_COLUMN);
    qyi_line_text(&line, "values");
    pad_to(&line, DEFAULT_COLUMN);
    qyi_line_text(&line, "default");
    pad_to(&line, MEANING_COLUMN);
    qyi_line_text(&line, "meaning");
    qyi_line_write(&line, STDERR_FILENO);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        qyi_line_text(&line, "  ");
        qyi_line_text(&line, options[i].name);
        pad_to(&line, VALUES_COLUMN);
        add_values(&line, &options[i]);
        pad_to(&line, DEFAULT_COLUMN);
        add_default(&line, &options[i]);
        pad_to(&line, MEANING_COLUMN);
        qyi_line_text(&line, options[i].meaning);
        qyi_line_write(&line, STDERR_FILENO);
    }
}

/* QUARRY_ONLY: '*', '?', '[a-z]' and '[!a-z]'. fnmatch would do, but it may allocate. */

/* At a '[': whether the set holds c, and in *end where the pattern goes on. Without a ']' it is a plain '['. */
static bool set_holds(const char *set, char c, const char **end)
{
    const bool negated = set[1] == '!' || set[1] == '^';
    const char *const first = set + 1 + negated;
    const char *s = first;
    bool held = false;
    for (; *s != '\0' && (*s != ']' || s == first); s++) { /* a ']' that comes first is a member */
        const bool range = s[1] == '-' && s[2] != '\0' && s[2] != ']';
        const char low = *s;
        s += range ? 2 : 0;
        held |= low <= c && c <= *s;
    }
    const bool closed = *s == ']';
    *end = closed ? s + 1 : set + 1;
    return closed ? held != negated : c == '[';
}

/* Whether the pattern's next element, which is no '*', matches c, and in *end where the pattern goes on. */
static bool element_matches(const char *glob, char c, const char **end)
{
    if (*glob == '[')
        return set_holds(glob, c, end);
    *end = glob + 1;
    return *glob == '?' || *glob == c;
}

/* Only the last '*' met is ever tried again, one byte longer: an earlier one could not match more. */
static bool glob_matches(const char *glob, const char *name)
{
    const char *after_star = NULL;
    const char *retry = NULL; /* where in the name the part after that star is tried next */
    while (*name != '\0') {
        const char *next = glob;
        if (*glob == '*') {
            after_star = ++glob;
            retry = name;
        } else if (*glob != '\0' && element_matches(glob, *name, &next)) {
            glob = next;
            name++;
        } else if (after_star != NULL) {
            glob = after_star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == '\0';
}

/* QUARRY_STATS and QUARRY_OPTIONS. */

/* What a pattern for a file's name may have after a '%'; output.c knows what they stand for. */
static bool is_pattern(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '%' && (*++text == '\0' || strchr("pehtnr%", *text) == NULL))
            return false;
    }
    return true;
}

/* FORMAT or FORMAT:PATH. */
static void read_stats(struct qyi_options *values, const char *text)
{
    static const char words[] = "0|1|text|json|prom";
    static const enum qyi_stats_format formats[] = {QYI_STATS_OFF, QYI_STATS_TEXT, QYI_STATS_TEXT, QYI_STATS_JSON,
                                                    QYI_STATS_PROM};
    struct piece path = piece_of(text);
    const bool has_path = strchr(text, ':') != NULL;
    const int word = find_word(words, take_part(&path, ":"));
    if (word >= 0 && (!has_path || (path.length > 0 && is_pattern(path.text)))) {
        values->stats = formats[word];
        values->stats_path = has_path ? path.text : NULL;
        return;
    }
    if (*text == '\0')
        return;
    struct qyi_line line = {0};
    add_complaint(&line, "QUARRY_STATS", "bad value", piece_of(text));
    if (word < 0) {
        qyi_line_text(&line, " (");
        add_words(&line, words, SIZE_MAX);
        qyi_line_text(&line, ", and :PATH for a file)");
    } else if (path.length == 0) {
        qyi_line_text(&line, " (there is no path after the colon)");
    } else {
        qyi_line_text(&line, " (after a % comes p, e, h, t, n, r or %)");
    }
    qyi_line_write(&line, STDERR_FILENO);
}

/* 0, 1 or 1:PATH. */
static void read_prof(struct qyi_options *values, const char *text)
{
    const bool named = strncmp(text, "1:", 2) == 0 && text[2] != '\0';
    const bool has_path = named && is_pattern(text + 2);
    values->prof = has_path || strcmp(text, "1") == 0;
    values->prof_path = has_path ? text + 2 : NULL;
    if (values->prof || *text == '\0' || strcmp(text, "0") == 0)
        return;
    struct qyi_line line = {0};
    add_complaint(&line, "QUARRY_PROF", "bad value", piece_of(text));
    qyi_line_text(&line, named ? " (after a % comes p, e, h, t, n, r or %)" : " (0, 1 or 1:PATH)");
    qyi_line_write(&line, STDERR_FILENO);
}

static void read_item(struct qyi_options *values, struct piece item)
{
    struct piece value = item;
    const struct piece key = take_part(&value, ":=");
    const struct option *option = options;
    while (option < options + OPTION_COUNT && !pieces_equal(key, piece_of(option->name)))
        option++;

    if (option == options + OPTION_COUNT) {
        warn_unknown_key(key);
    } else if (option->kind == KIND_HELP) {
        print_help();
    } else {
        if (key.length == item.length && option->kind == KIND_BOOL)
            value = piece_of("1");
        if (!set_value(values, option, value))
            warn_bad_value(option, value);
    }
}

static void read_list(struct qyi_options *values, const char *list)
{
    struct piece rest = piece_of(list);
    while (rest.length > 0) {
        const struct piece item = take_part(&rest, ",");
        if (item.length > 0)
            read_item(values, item);
    }
}

enum variable { VARIABLE_ONLY, VARIABLE_STATS, VARIABLE_PROF, VARIABLE_OPTIONS, VARIABLE_COUNT };

static void read_all(const char *const text[VARIABLE_COUNT])
{
    if (*text[VARIABLE_ONLY] != '\0' && !glob_matches(text[VARIABLE_ONLY], program_invocation_short_name))
        return;
    struct qyi_options values = qyi_options;
    read_stats(&values, text[VARIABLE_STATS]);
    read_prof(&values, text[VARIABLE_PROF]);
    read_list(&values, text[VARIABLE_OPTIONS]);
    qyi_options = values;
}

/* Most processes have none of these, and touch nothing else of this file. */
QYI_ONCE void qyi_options_read(void)
{
    QYI_NEAR static char names[VARIABLE_COUNT][16] = {"QUARRY_ONLY", "QUARRY_STATS", "QUARRY_PROF", "QUARRY_OPTIONS"};
    const char *text[VARIABLE_COUNT];
    bool any = false;
    for (unsigned i = 0; i < VARIABLE_COUNT; i++) {
        const char *value = secure_getenv(names[i]);
        text[i] = value != NULL ? value : &names[i][sizeof names[i] - 1]; /* unset is as good as empty */
        any |= *text[i] != '\0';
    }
    if (any)
        read_all(text);
}
