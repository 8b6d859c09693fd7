/*
 * Memory from getline, which knows nothing of references: taken over as a slice, cut into fields without a copy, and freed
 * by free() and by realloc() in code that knows nothing either.
 */
#include "blackbox.h"
#include "quarry/slice.h"

enum { LINES = 2000, FIELDS = 5 };

static FILE *make_log(void)
{
    FILE *log = tmpfile();
    CHECK(log != NULL);
    for (int i = 0; i < LINES; i++)
        CHECK(fprintf(log, "%d;user%d;GET;/page/%d;%.*s\n", i, i % 7, i * 3, i % 100,
                      "...................................."
                      "................................................................") > 0);
    rewind(log);
    return log;
}

/* As in a library: takes a string from malloc, and frees it. */
static void consume(char *word, const char *expected)
{
    CHECK(strcmp(word, expected) == 0, "%s is not %s", word, expected);
    free(word);
}

static void check_line(qy_slice line, int number)
{
    char expected[50];
    qy_slice fields[FIELDS];
    void *block = line.iov_base;
    CHECK(qy_slice_split_lines(&line, ';', fields, FIELDS) == 4); /* the newline ends the last */
    snprintf(expected, sizeof expected, "user%d", number % 7);
    CHECK(fields[1].iov_len == strlen(expected) && memcmp(fields[1].iov_base, expected, fields[1].iov_len) == 0);
    CHECK((char *)fields[3].iov_base > (char *)block && qy_base(fields[3].iov_base) == block);
    CHECK(qy_refcount(block) == 5);
    qy_slice_drop(&line);
    qy_slices_drop(&fields[1], 2);

    /* the first field is at the start of the block: plain free takes it, and the others do not notice */
    ((char *)fields[0].iov_base)[fields[0].iov_len] = '\0';
    snprintf(expected, sizeof expected, "%d", number);
    consume(qy_slice_into_raw(&fields[0]), expected);
    CHECK(qy_is_unique(fields[3].iov_base));
    /* the last owner: the bytes move to the start */
    const size_t length = fields[3].iov_len;
    char *page = qy_slice_into_raw(&fields[3]);
    CHECK(page == block);
    page = realloc(page, length + 20);
    CHECK(page != NULL);
    strcpy(page + length, "?x=1");
    snprintf(expected, sizeof expected, "/page/%d?x=1", number * 3);
    consume(page, expected);
}

int main(void)
{
    FILE *log = make_log();
    for (int i = 0; i < LINES; i++) {
        char *line = NULL;
        size_t capacity = 0;
        const ssize_t length = getline(&line, &capacity, log);
        CHECK(length > 0 && qy_capacity(line) >= (size_t)length);
        qy_slice slice = qy_slice_adopt(line, (size_t)length);
        CHECK(slice.iov_base == line);
        check_line(slice, i);
    }
    fclose(log);
    char *text = NULL; /* and others that allocate for their callers */
    CHECK(asprintf(&text, "%s-%d", "number", 5) == 8);
    qy_slice slice = qy_slice_adopt(text, 8);
    qy_slice digit = qy_slice_split_off(&slice, 7);
    free(text); /* what slice had */
    CHECK(*(char *)digit.iov_base == '5' && qy_is_unique(digit.iov_base));
    qy_slice_drop(&digit);
    return 0;
}
