/*
 * http-request.c: see http-request.h. No buffer is written beyond its end because no head is longer than REQUEST_HEAD_MAX.
 */
#define _GNU_SOURCE
#include "http-request.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent signs undone, up to the query. */
static bool decode(const char *from, size_t length, char *to)
{
    const char *const end = from + length;
    while (from < end && *from != '?' && *from != '#') {
        int c = (unsigned char)*from++;
        if (c == '%') {
            if (end - from < 2 || hex(from[0]) < 0 || hex(from[1]) < 0)
                return false;
            c = hex(from[0]) << 4 | hex(from[1]);
            from += 2;
        }
        if (c == '\0')
            return false;
        *to++ = (char)c;
    }
    *to = '\0';
    return true;
}

/* Digits at *text, moved past; false: none, or too many for any file. */
static bool digits(const char **text, const char *end, uint64_t *value)
{
    const char *const begin = *text;
    *value = 0;
    while (*text < end && **text >= '0' && **text <= '9' && *text - begin < 19)
        *value = *value * 10 + (uint64_t)(*(*text)++ - '0');
    return *text != begin;
}

/* One range; what is not understood is ignored, as the protocol wants it, and so are several ranges. */
static void parse_range(const char *text, size_t length, struct request *request)
{
    const char *const end = text + length;
    uint64_t first = UINT64_MAX, last = UINT64_MAX;
    if (length < 7 || strncasecmp(text, "bytes=", 6) != 0)
        return;
    text += 6;
    const bool has_first = digits(&text, end, &first);
    if (text == end || *text++ != '-')
        return;
    const bool has_last = digits(&text, end, &last);
    if (text != end || (!has_first && !has_last) || (has_first && has_last && last < first))
        return;
    request->has_range = true;
    request->range_first = has_first ? first : UINT64_MAX;
    request->range_last = has_last ? last : UINT64_MAX;
}

static void parse_since(const char *text, size_t length, struct request *request)
{
    char date[64];
    struct tm tm = {0};
    if (length >= sizeof date)
        return;
    memcpy(date, text, length);
    date[length] = '\0';
    const char *end = strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end != NULL && *end == '\0')
        request->modified_since = timegm(&tm);
}

static bool same(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}

/* 0, or a status. */
static int parse_field(const char *name, size_t name_length, const char *value, size_t length, struct request *request)
{
    if (same(name, name_length, "connection")) {
        if (same(value, length, "close"))
            request->keep_alive = false;
        else if (same(value, length, "keep-alive"))
            request->keep_alive = true;
    } else if (same(name, name_length, "range")) {
        parse_range(value, length, request);
    } else if (same(name, name_length, "if-modified-since")) {
        parse_since(value, length, request);
    } else if (same(name, name_length, "transfer-encoding") ||
               (same(name, name_length, "content-length") && !same(value, length, "0"))) {
        return 413; /* nothing is taken in here */
    }
    return 0;
}

static int parse_fields(const char *text, const char *end, struct request *request)
{
    bool host = false;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = stop != NULL ? stop : end;
        const char *next = stop != NULL ? stop + 1 : end;
        if (line_end > text && line_end[-1] == '\r')
            line_end--;
        const char *colon = memchr(text, ':', (size_t)(line_end - text));
        if (colon == NULL || colon == text || memchr(text, ' ', (size_t)(colon - text)) != NULL)
            return 400;
        const char *value = colon + 1;
        while (value < line_end && (*value == ' ' || *value == '\t'))
            value++;
        while (line_end > value && (line_end[-1] == ' ' || line_end[-1] == '\t'))
            line_end--;
        host = host || same(text, (size_t)(colon - text), "host");
        const int status = parse_field(text, (size_t)(colon - text), value, (size_t)(line_end - value), request);
        if (status != 0)
            return status;
        text = next;
    }
    return host ? 0 : 1; /* who calls knows whether the version asks for one */
}

/* "GET /path HTTP/1.1". 0, or a status. */
static int parse_first_line(const char *line, size_t length, struct request *request, bool *old)
{
    const char *space = memchr(line, ' ', length);
    const char *last = memrchr(line, ' ', length);
    if (space == NULL || last == space)
        return 400;
    if (same(last + 1, (size_t)(line + length - last - 1), "HTTP/1.0"))
        *old = true;
    else if (!same(last + 1, (size_t)(line + length - last - 1), "HTTP/1.1"))
        return 505;
    if (space - line == 3 && memcmp(line, "GET", 3) == 0)
        request->method = METHOD_GET;
    else if (space - line == 4 && memcmp(line, "HEAD", 4) == 0)
        request->method = METHOD_HEAD;
    else
        return 405;
    const size_t target = (size_t)(last - space - 1);
    if (target == 0 || space[1] != '/' || memchr(space + 1, ' ', target) != NULL)
        return 400;
    memcpy(request->target, space + 1, target);
    request->target[target] = '\0';
    return decode(space + 1, target, request->path) ? 0 : 400;
}

int request_parse(const char *text, size_t length, struct request *request)
{
    /* Empty lines before a request are allowed. */
    size_t skipped = 0;
    while (skipped < length && (text[skipped] == '\r' || text[skipped] == '\n'))
        skipped++;
    const char *const begin = text + skipped;
    const size_t searched = length - skipped < REQUEST_HEAD_MAX ? length - skipped : REQUEST_HEAD_MAX;
    const char *const blank = memmem(begin, searched, "\r\n\r\n", 4);
    if (blank == NULL)
        return searched == REQUEST_HEAD_MAX ? -431 : 0;
    const char *const line_end = memmem(begin, searched, "\r\n", 2);

    bool old = false;
    request->has_range = false;
    request->modified_since = 0;
    int status = parse_first_line(begin, (size_t)(line_end - begin), request, &old);
    if (status != 0)
        return -status;
    request->keep_alive = !old;
    status = blank == line_end ? 1 : parse_fields(line_end + 2, blank, request);
    if (status == 1)
        status = old ? 0 : 400;
    return status != 0 ? -status : (int)(blank + 4 - text);
}

bool request_range(const struct request *request, uint64_t size, uint64_t *first, uint64_t *length)
{
    if (request->range_first == UINT64_MAX) { /* the last bytes */
        *length = request->range_last < size ? request->range_last : size;
        *first = size - *length;
        return *length != 0;
    }
    if (request->range_first >= size)
        return false;
    *first = request->range_first;
    const uint64_t last = request->range_last < size ? request->range_last : size - 1;
    *length = last - *first + 1;
    return true;
}
