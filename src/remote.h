/*
 * remote.h: freeing blocks that belong to another heap. Layer 4.
 */
#ifndef QYI_REMOTE_H
#define QYI_REMOTE_H

#include "base.h"

struct qyi_magazines;

enum { QYI_REMOTE_WORDS_LOG2 = 8, QYI_REMOTE_WORDS = 1 << QYI_REMOTE_WORDS_LOG2 };

/* Blocks that a thread has freed and not announced yet: a hash table of bitmap words. */
struct qyi_remote_buffer {
    size_t held_bytes;
    uint32_t used_count;
    uint8_t used[QYI_REMOTE_WORDS]; /* the places that are filled, or were since the last flush */
    struct qyi_remote_word {
        uint64_t key; /* class, first granule of the slab, number of the word: see remote.c; 0: nothing */
        uint64_t bits;
    } word[QYI_REMOTE_WORDS];
};

/*
 * Free p, a slab's block, whose granule has this entry. The thread's buffer gathers blocks by bitmap word; if it is full, it is
 * flushed, and the clock may tick. Aborts on a pointer that cannot be free'd. Returns 0, as qyi_free_last does.
 */
int qyi_remote_free(struct qyi_magazines *mine, void *p, uint64_t entry);

/* The same for a thread without magazines: the block is announced at once. */
void qyi_remote_free_now(void *p, uint64_t entry);

/* Announce everything that is in the buffer. */
void qyi_remote_flush(struct qyi_magazines *mine);

#endif
