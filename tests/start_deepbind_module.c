/* The library that start_deepbind opens with RTLD_DEEPBIND: its own calls of malloc and free prefer the C library's. */
#define BLACKBOX_MODULE
#include "blackbox.h"

char *deepbind_strdup(const char *text);
char *deepbind_malloc(size_t size);
void deepbind_free(void *block);
void *deepbind_realloc(void *block, size_t size);
void deepbind_both(void);

char *deepbind_strdup(const char *text)
{
    return strdup(text);
}

char *deepbind_malloc(size_t size)
{
    return malloc(size);
}

void deepbind_free(void *block)
{
    free(block);
}

void *deepbind_realloc(void *block, size_t size)
{
    return realloc(block, size);
}

/* What breaks PHP's modules: memory from the C library's own functions, freed by the library. */
void deepbind_both(void)
{
    char *text = strdup("text");
    free(text);
    CHECK(asprintf(&text, "%d", 5) == 1);
    free(text);
    text = realpath("/", NULL);
    CHECK(text != NULL);
    free(text);
}
