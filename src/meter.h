/*
 * meter.h: which allocations the heap profile looks at. Layer 4.
 *
 * Off, qyi_meter_rate is 0, and nobody calls in here.
 */
#ifndef QYI_METER_H
#define QYI_METER_H

#include "base.h"
#include "lock.h"
#include "sizeclass.h"

/* Blocks that a metered magazine may hold: 16 KiB of them, and no more than this. */
enum { QYI_METERED_BYTES = 16 << 10, QYI_METERED_MAX = 512 };

/* Of a heap, for good: a thread that runs with the heap later goes on where the last one stopped. */
struct qyi_meter {
    uint64_t random;                    /* of the generator */
    uint64_t left;                      /* bytes until the next sample among blocks of the common classes, and large ones */
    uint64_t left_of[QYI_OWN_CLASS_COUNT]; /* the same for each class of a thread's own; 0: not drawn yet */
    void *memory;                       /* of stacks, see unwind.h */
    void *slots[];                      /* of the metered magazines */
};

/* Mean bytes between samples; 0: the profile is off. Set once, by qyi_meter_start. */
extern QYI_HIDDEN size_t qyi_meter_rate;

/* seed 0: another one every time. */
void qyi_meter_start(size_t rate, uint64_t seed);

struct qyi_heap;

/* The heap's meter, made now if need be; NULL: no memory. The caller is the heap's thread. */
struct qyi_meter *qyi_meter_of(struct qyi_heap *heap);

/* The slots of a class's metered magazine, and their number. */
void **qyi_meter_slots(struct qyi_meter *meter, unsigned class);
unsigned qyi_meter_slot_count(unsigned class);

/* Bytes until the next sample: at least 1, mean qyi_meter_rate. */
uint64_t qyi_meter_draw(struct qyi_meter *meter);

/* A number from 0 up to, but not including, 1. */
double qyi_meter_random(struct qyi_meter *meter);

/* So many bytes of one block pass. True: it is to be sampled. */
bool qyi_meter_pass(struct qyi_meter *meter, size_t bytes);

/* The same for threads without magazines. */
bool qyi_meter_pass_shared(size_t bytes);

/* The probability with which a block of so many bytes is sampled: 1 - exp(-bytes / rate). */
double qyi_meter_share(size_t bytes);

void qyi_meter_after_fork(void);

#endif
