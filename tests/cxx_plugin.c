/*
 * A C program that opens a C++ library: libstdc++ is not there when the allocator starts, and with RTLD_LOCAL it is never in
 * the global scope. Throwing new must nevertheless find the new-handler and throw the std::bad_alloc that the plugin catches.
 */
#include "blackbox.h"

static void use(void *plugin)
{
    int (*handler_calls)(void) = (int (*)(void))bb_module_symbol(plugin, "plugin_handler_calls");
    bool (*catches)(void) = (bool (*)(void))bb_module_symbol(plugin, "plugin_catches_bad_alloc");
    char *(*text)(void) = (char *(*)(void))bb_module_symbol(plugin, "plugin_text");

    for (int i = 0; i < 10; i++) {
        char *words = text();
        CHECK(words != NULL && strlen(words) == 999);
        free(words);
    }
    CHECK(catches(), "no std::bad_alloc arrived in the plugin");
    int calls = handler_calls();
    CHECK(calls == 3, "the plugin's new-handler: %d calls instead of 3 (-1: no bad_alloc)", calls);
}

int main(void)
{
    CHECK(dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv") == NULL,
          "libstdc++ is already loaded: this test shows nothing");
    void *plugin = bb_open_module("cxx_plugin_module", RTLD_NOW | RTLD_LOCAL);
    use(plugin);
    use(bb_open_module("cxx_plugin_module", RTLD_LAZY | RTLD_GLOBAL));
    dlclose(plugin);
    return 0;
}
