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

/* Of a heap, for good: a thread that runs with the heap later goes on where the last one stopped. */
struct qyi_meter {
    uint64_t random; /* of the generator */
    uint64_t left;   /* bytes until the next sample of the common classes and large blocks; 0: not drawn yet */
    void *memory;    /* of stacks, see unwind.h */
};

/* Mean bytes between samples; 0: the profile is off. Set once, by qyi_meter_start. */
extern QYI_HIDDEN size_t qyi_meter_rate;

/* seed 0: another one every time. */
void qyi_meter_start(size_t rate, uint64_t seed);

struct qyi_heap;

/* The heap's meter, made now if need be; NULL: no memory. The caller is the heap's thread. */
struct qyi_meter *qyi_meter_of(struct qyi_heap *heap);

/* Of blocks of this size that pass apart from all others: the number of the next one that is to be sampled, from 1. */
uint64_t qyi_meter_calls(struct qyi_heap *heap, size_t bytes);

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
