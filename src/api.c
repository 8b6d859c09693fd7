/*
 * api.c: the allocator under its public names; include/quarry/quarry.h has the contracts. Layer 6.
 */
#include "quarry/quarry.h"

#include "alloc.h"
#include "family.h"
#include "reclaim.h"
#include "start.h"

unsigned qy_version(void)
{
    qyi_start_anchor();
    return QY_VERSION;
}

void *qy_malloc(size_t size)
{
    return qyi_malloc(size);
}

void *qy_calloc(size_t count, size_t size)
{
    return qyi_calloc(count, size);
}

void *qy_realloc(void *p, size_t size)
{
    return qyi_realloc(p, size);
}

void *qy_reallocarray(void *p, size_t count, size_t size)
{
    return qyi_reallocarray(p, count, size);
}

void qy_free(void *p)
{
    qyi_free(p);
}

void qy_free_sized(void *p, size_t size)
{
    (void)size;
    qyi_free(p);
}

void qy_free_aligned_sized(void *p, size_t align, size_t size)
{
    (void)align;
    (void)size;
    qyi_free(p);
}

void *qy_aligned_alloc(size_t align, size_t size)
{
    return qyi_aligned_alloc(align, size);
}

int qy_posix_memalign(void **out, size_t align, size_t size)
{
    return qyi_posix_memalign(out, align, size);
}

void *qy_memalign(size_t align, size_t size)
{
    return qyi_memalign(align, size);
}

void *qy_valloc(size_t size)
{
    return qyi_valloc(size);
}

void *qy_pvalloc(size_t size)
{
    return qyi_pvalloc(size);
}

size_t qy_usable_size(const void *p)
{
    return qyi_usable_size(p, "qy_usable_size");
}

size_t qy_good_size(size_t size)
{
    return qyi_good_size(size);
}

struct qy_sized qy_malloc_at_least(size_t size)
{
    void *p = qyi_malloc(size);
    return (struct qy_sized){.p = p, .size = qyi_usable_size(p, "qy_malloc_at_least")};
}

size_t qy_trim(void)
{
    return qyi_reclaim_all();
}

void qy_thread_idle(void)
{
    qyi_reclaim_thread();
}
