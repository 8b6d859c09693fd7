/* A library opened with RTLD_DEEPBIND and the program pass memory to each other, in both directions. */
#include "blackbox.h"

int main(void)
{
    void *module = bb_open_module("start_deepbind_module", RTLD_NOW | RTLD_DEEPBIND);
    char *(*module_strdup)(const char *) = (char *(*)(const char *))bb_module_symbol(module, "deepbind_strdup");
    char *(*module_malloc)(size_t) = (char *(*)(size_t))bb_module_symbol(module, "deepbind_malloc");
    void (*module_free)(void *) = (void (*)(void *))bb_module_symbol(module, "deepbind_free");
    void *(*module_realloc)(void *, size_t) = (void *(*)(void *, size_t))bb_module_symbol(module, "deepbind_realloc");
    void (*module_both)(void) = (void (*)(void))bb_module_symbol(module, "deepbind_both");

    for (int i = 0; i < 1000; i++) {
        module_both();
        char *text = module_strdup("some text");
        CHECK(text != NULL && strcmp(text, "some text") == 0);
        free(text);
        text = module_malloc(100);
        CHECK(text != NULL);
        memset(text, 1, 100);
        free(text);
        module_free(malloc(100));
        module_free(strdup("other text"));
        text = module_realloc(malloc(100), 5000);
        CHECK(text != NULL);
        text = realloc(text, 10000);
        CHECK(text != NULL);
        module_free(text);
    }
    CHECK(dlclose(module) == 0);
    return 0;
}
