/*
 * top.h: quarry top: what is shown, as lines of text; and the terminal that shows it.
 */
#ifndef QUARRY_TOP_H
#define QUARRY_TOP_H

#include "numbers.h"
#include "target.h"

#include "text.h"

enum top_order { BY_LIVE, BY_RATE, BY_CALLS, BY_SIZE, TOP_ORDER_COUNT };

struct top {
    struct target *target;
    struct numbers *now, *before; /* before: zero at first; rates are then those since the start */
    double interval_s;
    enum top_order order;
    bool show_threads; /* instead of classes; in a batch, both */
    bool batch;
    bool blocks; /* the history may be drawn with Unicode's blocks */
    unsigned columns;
};

/* Take the numbers anew. */
void top_take(struct top *top);

/* Put the page: lines that end with a newline. */
void top_put(struct qyi_text *text, const struct top *top);

/* The page in a buffer of as many bytes as it takes, with a NUL behind it; until the next call. */
struct qyi_text top_page(const struct top *top);

/* On the terminal, until the user has seen enough. False: this command was built without a library for terminals. */
bool top_run_screen(struct top *top);

#endif
