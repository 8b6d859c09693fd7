/*
 * http_answer.h: one request and its answer. Layer 6.
 */
#ifndef QYI_HTTP_ANSWER_H
#define QYI_HTTP_ANSWER_H

#include "base.h"

struct qyi_http_client {
    int fd;                    /* does not block */
    bool by_name;              /* whatever name the client calls us by, we are it */
    bool by_owner;             /* nobody else can connect but root */
    bool head_only;            /* the client wants no bodies: set while it is answered */
    const _Atomic bool *ended; /* stop as soon as this is true */
};

/* Read the request and answer it; the caller closes the connection. Takes bounded time. */
void qyi_http_answer(struct qyi_http_client *client);

#endif
