/*
 * html.c: writing HTML, and numbers for people.
 */
#include "html.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* ---- escaping ---- */

static const char replacement[] = "\xef\xbf\xbd";

/* The character at *at, which moves behind it; UINT32_MAX for a byte that is none, by itself. */
static uint32_t take_character(const unsigned char **at)
{
    const unsigned char *byte = *at;
    static const struct {
        unsigned char mask, start, length;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
    ++*at;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if ((*byte & forms[i].mask) != forms[i].start)
            continue;
        uint32_t character = *byte & (unsigned char)~forms[i].mask;
        for (unsigned j = 1; j < forms[i].length; j++) {
            if ((byte[j] & 0xc0) != 0x80)
                return UINT32_MAX;
            character = character << 6 | (byte[j] & 0x3f);
        }
        if (character < forms[i].least || character > 0x10ffff || (character >= 0xd800 && character < 0xe000))
            return UINT32_MAX;
        *at = byte + forms[i].length;
        return character;
    }
    return UINT32_MAX;
}

/* Controls, what is invisible, and what turns the direction of writing around. */
static bool is_printable(uint32_t character)
{
    return character != UINT32_MAX && character >= 0x20 && !(character >= 0x7f && character < 0xa0) &&
           !(character >= 0x200b && character <= 0x200f) && !(character >= 0x2028 && character <= 0x202e) &&
           !(character >= 0x2060 && character <= 0x206f) && character != 0xfeff && character != 0x61c;
}

static void put_escaped(FILE *page, const char *text, const char *(*escape)(uint32_t character))
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        const unsigned char *start = at;
        const uint32_t character = take_character(&at);
        const char *instead = is_printable(character) ? escape(character) : replacement;
        if (instead != NULL)
            fputs(instead, page);
        else
            fwrite(start, 1, (size_t)(at - start), page);
    }
}

static const char *escape_html(uint32_t character)
{
    switch (character) {
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '&': return "&amp;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

static const char *escape_json(uint32_t character)
{
    switch (character) {
    case '<': return "\\u003c";
    case '>': return "\\u003e";
    case '&': return "\\u0026";
    case '\'': return "\\u0027";
    case '"': return "\\\"";
    case '\\': return "\\\\";
    default: return NULL;
    }
}

void html_text(FILE *page, const char *text)
{
    put_escaped(page, text, escape_html);
}

void html_json(FILE *page, const char *text)
{
    fputc('"', page);
    put_escaped(page, text, escape_json);
    fputc('"', page);
}

/* ---- numbers ---- */

const char *html_bytes(char word[HTML_WORD], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = (double)bytes;
    unsigned unit = 0;
    for (; number >= 1023.95 && unit + 1 < sizeof units / sizeof *units; unit++)
        number /= 1024;
    snprintf(word, HTML_WORD, unit == 0 ? "%.0f\xc2\xa0%s" : "%.1f\xc2\xa0%s", number, units[unit]);
    return word;
}

const char *html_signed_bytes(char word[HTML_WORD], int64_t bytes)
{
    char plain[HTML_WORD];
    html_bytes(plain, bytes < 0 ? -(uint64_t)bytes : (uint64_t)bytes);
    snprintf(word, HTML_WORD, "%s%.30s", bytes < 0 ? "\xe2\x88\x92" : bytes > 0 ? "+" : "", plain);
    return word;
}

const char *html_number(char word[HTML_WORD], uint64_t number)
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *out = word;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return word;
}

const char *html_duration(char word[HTML_WORD], uint64_t microseconds)
{
    static const struct {
        uint64_t microseconds;
        const char *unit;
    } units[] = {{86400000000, "d"}, {3600000000, "h"}, {60000000, "min"},
                 {1000000, "s"},     {1000, "ms"},      {1, "\xc2\xb5s"}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && microseconds < units[i].microseconds)
        i++;
    const double number = (double)microseconds / (double)units[i].microseconds;
    snprintf(word, HTML_WORD, number < 10 && number != (double)(int)number ? "%.1f\xc2\xa0%s" : "%.0f\xc2\xa0%s",
             number, units[i].unit);
    return word;
}

/* ---- both ---- */

void html_put(FILE *page, const char *format, ...)
{
    char word[HTML_WORD];
    va_list arguments;
    va_start(arguments, format);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            fputc(*format, page);
            continue;
        }
        switch (*++format) {
        case 't': html_text(page, va_arg(arguments, const char *)); break;
        case 'b': fputs(html_bytes(word, va_arg(arguments, uint64_t)), page); break;
        case 'n': fputs(html_number(word, va_arg(arguments, uint64_t)), page); break;
        case 'p': {
            const uint64_t part = va_arg(arguments, uint64_t);
            const uint64_t whole = va_arg(arguments, uint64_t);
            fprintf(page, "%.1f%%", whole == 0 ? 0 : 100.0 * (double)part / (double)whole);
            break;
        }
        case 'u': fprintf(page, "%" PRIu64, va_arg(arguments, uint64_t)); break;
        case 'd': fprintf(page, "%d", va_arg(arguments, int)); break;
        case 'f': fprintf(page, "%.6g", va_arg(arguments, double)); break;
        case 's': fputs(va_arg(arguments, const char *), page); break; /* ours, not a file's */
        default: fputc(*format, page); break;
        }
    }
    va_end(arguments);
}
