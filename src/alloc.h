/*
 * alloc.h: malloc, free and their relatives, by size and by state. Layer 5.
 *
 * The fast paths are inline, so that both the interposed names and the qy_ names contain them. Functions that allocate
 * return NULL with errno ENOMEM when they cannot, and leave errno alone when they can; free never changes it.
 */
#ifndef QYI_ALLOC_H
#define QYI_ALLOC_H

#include "base.h"
#include "magazine.h"
#include "region.h"
#include "sample.h"

void *qyi_malloc_slow(size_t bytes);
void qyi_free_slow(void *p);
void qyi_free_marked(void *p, uint64_t difference);

/* Free the block that starts at p, whose granule has this entry: the caller has the last reference. Returns 0, so that what
 * releases can end in it. */
int qyi_free_last(void *p, uint64_t entry);

/* The same if that entry is plain. */
int qyi_free_plain(void *p, uint64_t entry);

QYI_INLINE void *qyi_malloc(size_t bytes)
{
    if (QYI_LIKELY(bytes <= QYI_TABLE_BYTES)) {
        void *block;
        if (QYI_LIKELY(qyi_magazine_pop(qyi_my_magazine(bytes), &block)))
            return block;
    }
    return qyi_malloc_slow(bytes);
}

/* A block of one of the common heap's classes, if the thread has one at hand. False: this is a case for qyi_malloc_slow. */
QYI_INLINE bool qyi_malloc_common(unsigned class, void **block)
{
    return qyi_class_is_common(class) && !qyi_is_profiling() &&
           QYI_LIKELY(qyi_magazines_pop_common(qyi_my_magazines(), class, block));
}

QYI_INLINE void qyi_free(void *p)
{
    const size_t offset = qyi_region_offset(p);
    if (QYI_LIKELY(qyi_region_has(offset))) {
        const uint64_t entry = qyi_entry(offset >> QYI_GRANULE_SHIFT);
        const uint64_t difference = entry ^ qyi_my_paths.key;
        if (QYI_UNLIKELY(difference >= QYI_ENTRY_PLAIN_LIMIT)) {
            qyi_free_marked(p, difference);
            return;
        }
        if (QYI_LIKELY(qyi_magazine_push(qyi_my_magazine_by(difference), p)))
            return;
    }
    qyi_free_slow(p);
}

void *qyi_calloc(size_t count, size_t bytes);
void *qyi_realloc(void *p, size_t bytes);

/* align is a power of two. */
void *qyi_aligned(size_t align, size_t bytes);

/* Bytes of the block that p is the start of; 0 for NULL. function is for messages. */
size_t qyi_usable_size(const void *p, const char *function);

/* Bytes that a request for this many would get; 0 if it would be refused. */
size_t qyi_good_size(size_t bytes);

#endif
