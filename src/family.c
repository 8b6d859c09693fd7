/*
 * family.c: the rest of the malloc family: argument checks on top of alloc.h. Layer 5.
 *
 * What is refused, and how, follows C23, POSIX.1-2024 and, where they leave it open, glibc.
 */
#include "family.h"

#include "alloc.h"
#include "os.h"

#include <errno.h>

void *qyi_reallocarray(void *p, size_t count, size_t each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, each, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return qyi_realloc(p, bytes);
}

void *qyi_aligned_alloc(size_t align, size_t bytes)
{
    if (!qyi_is_power_of_two(align)) {
        errno = EINVAL;
        return NULL;
    }
    return qyi_aligned(align, bytes);
}

int qyi_posix_memalign(void **out, size_t align, size_t bytes)
{
    if (!qyi_is_power_of_two(align) || align % sizeof(void *) != 0)
        return EINVAL;
    const int saved_errno = errno;
    void *p = qyi_aligned(align, bytes);
    errno = saved_errno;
    if (p == NULL)
        return ENOMEM;
    *out = p;
    return 0;
}

void *qyi_memalign(size_t align, size_t bytes)
{
    if (align > SIZE_MAX / 2 + 1) { /* cannot be rounded up */
        errno = EINVAL;
        return NULL;
    }
    return qyi_aligned(qyi_power_of_two_up(align), bytes);
}

void *qyi_valloc(size_t bytes)
{
    return qyi_aligned(qyi_os_page_bytes, bytes);
}

void *qyi_pvalloc(size_t bytes)
{
    if (bytes > QYI_SIZE_LIMIT) {
        errno = ENOMEM;
        return NULL;
    }
    return qyi_aligned(qyi_os_page_bytes, qyi_align_up(bytes + (bytes == 0), qyi_os_page_bytes));
}
