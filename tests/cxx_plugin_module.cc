/* The C++ side of cxx_plugin: a library that a C program opens at run time, so that libstdc++ comes in late and privately. */
#define BLACKBOX_MODULE
#include "blackbox.h"
#include <new>
#include <string>
#include <vector>

namespace
{

int calls;

void handler()
{
    if (++calls == 3)
        throw std::bad_alloc();
}

} // namespace

extern "C" {

/* How often the plugin's own new-handler ran before it threw; negative when something else came out. */
int plugin_handler_calls(void)
{
    calls = 0;
    std::set_new_handler(handler);
    int result = -1;
    try {
        bb_hide(::operator new(bb_hide_size(SIZE_MAX - 100)));
    } catch (const std::bad_alloc &) {
        result = calls;
    }
    std::set_new_handler(nullptr);
    return result;
}

/* Without a handler: a std::bad_alloc that this library's own catch clause recognises. */
bool plugin_catches_bad_alloc(void)
{
    try {
        bb_hide(new char[bb_hide_size(PTRDIFF_MAX)]);
    } catch (const std::bad_alloc &) {
        return true;
    } catch (...) {
        return false;
    }
    return false;
}

/* Ordinary use: memory from here is freed by the program and the other way round. */
char *plugin_text(void)
{
    std::vector<std::string> words;
    for (int i = 0; i < 1000; i++)
        words.push_back(std::string(static_cast<std::size_t>(i), 'w'));
    char *text = static_cast<char *>(::operator new(words.back().size() + 1));
    words.back().copy(text, words.back().size());
    text[words.back().size()] = '\0';
    return text;
}
}
