/*
 * http-request.h: the head of an HTTP/1.1 request, taken apart.
 */
#ifndef EXAMPLES_HTTP_REQUEST_H
#define EXAMPLES_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { REQUEST_HEAD_MAX = 8192 };

enum method { METHOD_GET, METHOD_HEAD };

struct request {
    enum method method;
    bool keep_alive;
    char path[REQUEST_HEAD_MAX];   /* decoded, begins with a slash, no query, no zero bytes */
    char target[REQUEST_HEAD_MAX]; /* as it was sent */
    bool has_range;                /* one range: first to last, or the last `last` bytes if first is UINT64_MAX */
    uint64_t range_first, range_last;
    time_t modified_since; /* 0: not asked */
};

/*
 * Take the first request of a buffer apart.
 *
 * Returns    the bytes that it takes up; 0: unfinished; or a negative HTTP status: what is wrong with it.
 */
int request_parse(const char *text, size_t length, struct request *request);

/* "bytes=…" for a file of that size. False: it cannot be satisfied. Otherwise *first and *length say what to send. */
bool request_range(const struct request *request, uint64_t size, uint64_t *first, uint64_t *length);

#endif
