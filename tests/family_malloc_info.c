/* malloc_info(0, file) writes well-formed XML whose root is <malloc>; other options are refused. */
#include "blackbox.h"
#include <ctype.h>
#include <malloc.h>

/* A checker for the little XML that such reports use: tags, attributes in double quotes, text, comments, a declaration. */
static void check_xml(const char *text)
{
    char stack[64][64];
    int depth = 0, elements = 0;
    const char *at = text;
    while (*at != '\0') {
        if (*at != '<') {
            CHECK(depth > 0 || isspace((unsigned char)*at), "text outside the root: %.40s", at);
            CHECK(*at != '&' || strchr(at, ';') != NULL);
            CHECK(*at != '>', "a bare > in %.40s", at);
            at++;
            continue;
        }
        const char *end = strchr(at, '>');
        CHECK(end != NULL, "a tag without end: %.40s", at);
        if (strncmp(at, "<?", 2) == 0 || strncmp(at, "<!", 2) == 0) {
            at = end + 1;
            continue;
        }
        bool closing = at[1] == '/';
        const char *name = at + 1 + closing;
        size_t length = 0;
        while (isalnum((unsigned char)name[length]) || name[length] == '_' || name[length] == '-' ||
               name[length] == '.')
            length++;
        CHECK(length > 0 && length < 64 && isalpha((unsigned char)*name), "a bad tag: %.40s", at);
        int quotes = 0;
        for (const char *c = name + length; c < end; c++)
            quotes += *c == '"';
        CHECK(quotes % 2 == 0, "odd quotes in %.60s", at);
        if (closing) {
            CHECK(depth > 0 && strlen(stack[depth - 1]) == length && strncmp(stack[depth - 1], name, length) == 0,
                  "unbalanced: %.40s", at);
            depth--;
        } else {
            CHECK(depth > 0 || elements == 0, "two roots");
            CHECK(depth > 0 || (length == 6 && strncmp(name, "malloc", 6) == 0), "the root is %.*s", (int)length, name);
            elements++;
            if (end[-1] != '/') {
                CHECK(depth < 64);
                memcpy(stack[depth], name, length);
                stack[depth][length] = '\0';
                depth++;
            }
        }
        at = end + 1;
    }
    CHECK(depth == 0 && elements > 0, "depth %d at the end, %d elements", depth, elements);
}

int main(void)
{
    static void *blocks[1000];
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        CHECK((blocks[i] = malloc(i * 37)) != NULL);

    FILE *file = tmpfile();
    CHECK(file != NULL);
    CHECK(malloc_info(0, file) == 0);
    CHECK(fflush(file) == 0);
    long length = ftell(file);
    CHECK(length > 10, "%ld bytes", length);
    rewind(file);
    char *text = calloc(1, (size_t)length + 1);
    CHECK(text != NULL && fread(text, 1, (size_t)length, file) == (size_t)length);
    check_xml(text);
    fclose(file);
    free(text);

    /* Into a stream that itself grows by realloc. */
    size_t size = 0;
    text = NULL;
    file = open_memstream(&text, &size);
    CHECK(file != NULL && malloc_info(0, file) == 0);
    fclose(file);
    check_xml(text);
    free(text);

    CHECK(malloc_info(1, stdout) != 0, "options other than 0 must be refused");
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return 0;
}
