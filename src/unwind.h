/*
 * unwind.h: who called, all the way up, quickly. Layer 3.
 */
#ifndef QYI_UNWIND_H
#define QYI_UNWIND_H

#include "base.h"

enum {
    QYI_STACK_FRAMES = 64, /* the innermost ones; what is beyond is cut off */
    QYI_UNWIND_SLOTS = QYI_STACK_FRAMES + 12,
};

struct qyi_unwound {
    unsigned count;
    /* Of the calls: within the instruction; innermost first, without the library's own. */
    uintptr_t address[QYI_STACK_FRAMES];
    /* the return addresses, the library's too, and where each stands on the stack; none if that is not known of all of them */
    unsigned slots;
    uintptr_t *slot[QYI_UNWIND_SLOTS];
    uintptr_t value[QYI_UNWIND_SLOTS];
};

/* When the allocator works, and before anything else. False: stacks cannot be unwound. */
bool qyi_unwind_start(void);

/*
 * The callers of the function with this frame (__builtin_frame_address(0)), which called this one. The caller holds no lock.
 * Allocates nothing; keeps errno.
 */
void qyi_unwind(struct qyi_unwound *unwound, const void *frame);

/* A thread's memory of stacks, each with a value of the caller's. All zero at first. */
struct qyi_unwind_memory;
extern const size_t qyi_unwind_memory_bytes;

/* The value for the stack above this frame; NULL: it is not remembered. */
void *qyi_unwind_recall(struct qyi_unwind_memory *memory, const void *frame);

void qyi_unwind_remember(struct qyi_unwind_memory *memory, const void *frame, const struct qyi_unwound *unwound,
                         void *value);

#endif
