/* Memory that the C library allocates for its callers (strdup, getline, asprintf, scandir, …) is ours to free and resize. */
#include "blackbox.h"
#include <dirent.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <wchar.h>

int main(void)
{
    char *text = strdup("a string");
    CHECK(text != NULL && (text = realloc(text, 1000)) != NULL && strcmp(text, "a string") == 0);
    free(text);
    text = strndup("another", 3);
    CHECK(text != NULL && strcmp(text, "ano") == 0);
    free(text);
    wchar_t *wide = wcsdup(L"wide");
    CHECK(wide != NULL && wcslen(wide) == 4);
    free(wide);
    CHECK(asprintf(&text, "%0*d", 5000, 7) == 5000 && strlen(text) == 5000);
    free(text);
    text = realpath(".", NULL);
    CHECK(text != NULL && text[0] == '/');
    free(text);
    text = getcwd(NULL, 0);
    CHECK(text != NULL && text[0] == '/');
    free(text);

    struct dirent **entries = NULL;
    int count = scandir("/", &entries, NULL, alphasort);
    CHECK(count > 0);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);

    glob_t found;
    CHECK(glob("/*", 0, NULL, &found) == 0 && found.gl_pathc > 0);
    globfree(&found);

    /* getline grows a buffer of ours. */
    FILE *file = tmpfile();
    CHECK(file != NULL);
    for (int i = 0; i < 300; i++)
        CHECK(fprintf(file, "%0*d\n", i * 10 + 1, i) > 0);
    rewind(file);
    char *line = malloc(1);
    size_t capacity = 1;
    for (int i = 0; i < 300; i++) {
        ssize_t length = getline(&line, &capacity, file);
        CHECK(length == i * 10 + 2 && capacity > (size_t)length && atoi(line) == i, "line %d", i);
    }
    free(line);
    fclose(file);

    size_t size = 0;
    file = open_memstream(&text, &size);
    CHECK(file != NULL);
    for (int i = 0; i < 100000; i++)
        fputc('x', file);
    CHECK(fclose(file) == 0 && size == 100000 && text[99999] == 'x');
    free(text);

    CHECK(setenv("BLACKBOX_VARIABLE", "value", 1) == 0 && strcmp(getenv("BLACKBOX_VARIABLE"), "value") == 0);
    CHECK(unsetenv("BLACKBOX_VARIABLE") == 0);
    return 0;
}
