/*
 * http.h: the numbers and the heap profile over HTTP, while the program runs. Layer 6.
 */
#ifndef QYI_HTTP_H
#define QYI_HTTP_H

#include "base.h"

/* After the options, when the allocator has started: listen and serve, if QUARRY_OPTIONS=http:ADDRESS asks for it. */
void qyi_http_start(void);

/* At exit: remove the socket's path, if this process made one. */
void qyi_http_finish(void);

#endif
