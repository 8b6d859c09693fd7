/*
 * interpose.c: the malloc family, the C++ operators and three libc functions, under the names that programs call. Layer
 * 7; forwarding only.
 *
 * All in one object, so that a static link takes all of them or none. The names are not versioned: the loader would
 * ignore a versioned malloc. C++ names are written mangled, since the library must not need libstdc++.
 */
#include "alloc.h"
#include "family.h"
#include "fatal.h"
#include "large.h"
#include "options.h"
#include "os.h"
#include "reclaim.h"
#include "region.h"
#include "stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Tells site.c that this is the shared library. */
extern const char qyi_interposes;
QYI_HIDDEN const char qyi_interposes = 1; /* its address tells, nobody reads it */

/*
 * While the loader calls other libraries' IFUNC resolvers, which may call malloc, thread-local variables have not got their values yet:
 * they are zero, and zero is no path to a magazine. So here is a resolver that nobody needs for what it resolves. It runs when this
 * library is relocated, and nobody can call us before.
 */
static void nothing(void)
{
}

static __attribute__((used)) void (*resolve_nothing(void))(void)
{
    qyi_magazines_make_mine(NULL);
    return nothing;
}

static void early(void) __attribute__((ifunc("resolve_nothing")));
extern void (*const qyi_early)(void);
QYI_HIDDEN void (*const qyi_early)(void) = early; /* what makes the loader call it */

#pragma GCC diagnostic ignored "-Wmissing-attributes" /* libc's headers decorate these names */

#define QYI_EXPORT __attribute__((visibility("default")))
#define QYI_ALIAS(name) __attribute__((visibility("default"), alias(#name)))

/*
 * ---- C ----
 *
 * Functions that valgrind does not know call, in earnest, those that it knows and replaces, so that blocks are not
 * mixed.
 */

/* Aligned: where the borders of cache lines fall in it makes up to 9 % of a pair. The same for free and new. */
QYI_EXPORT QYI_LINE_ALIGNED void *malloc(size_t bytes)
{
    return qyi_malloc(bytes);
}

QYI_EXPORT QYI_LINE_ALIGNED QYI_NOINLINE void free(void *p)
{
    qyi_free(p);
}

QYI_EXPORT void *calloc(size_t count, size_t bytes)
{
    return qyi_calloc(count, bytes);
}

QYI_EXPORT QYI_NOINLINE void *realloc(void *p, size_t bytes)
{
    return qyi_realloc(p, bytes);
}

QYI_EXPORT void *reallocarray(void *p, size_t count, size_t bytes)
{
    if (__builtin_mul_overflow(count, bytes, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

QYI_EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
    return qyi_aligned_alloc(align, bytes);
}

QYI_EXPORT int posix_memalign(void **out, size_t align, size_t bytes)
{
    return qyi_posix_memalign(out, align, bytes);
}

QYI_EXPORT QYI_NOINLINE void *memalign(size_t align, size_t bytes)
{
    return qyi_memalign(align, bytes);
}

QYI_EXPORT void *valloc(size_t bytes)
{
    return qyi_valloc(bytes);
}

QYI_EXPORT void *pvalloc(size_t bytes)
{
    return bytes > QYI_SIZE_LIMIT ? qyi_pvalloc(bytes)
                                  : memalign(qyi_os_page_bytes, qyi_align_up(bytes + (bytes == 0), qyi_os_page_bytes));
}

QYI_EXPORT size_t malloc_usable_size(void *p)
{
    return qyi_usable_size(p, "malloc_usable_size");
}

QYI_EXPORT void free_sized(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}

QYI_EXPORT void free_aligned_sized(void *p, size_t align, size_t bytes)
{
    (void)align;
    (void)bytes;
    free(p);
}

void cfree(void *p) QYI_ALIAS(free);
void *__libc_malloc(size_t bytes) QYI_ALIAS(malloc);
void __libc_free(void *p) QYI_ALIAS(free);
void *__libc_calloc(size_t count, size_t bytes) QYI_ALIAS(calloc);
void *__libc_realloc(void *p, size_t bytes) QYI_ALIAS(realloc);
void *__libc_memalign(size_t align, size_t bytes) QYI_ALIAS(memalign);
void *__libc_valloc(size_t bytes) QYI_ALIAS(valloc);
void *__libc_pvalloc(size_t bytes) QYI_ALIAS(pvalloc);
int __posix_memalign(void **out, size_t align, size_t bytes) QYI_ALIAS(posix_memalign);

/* ---- glibc's questions and knobs ---- */

QYI_EXPORT int malloc_trim(size_t pad)
{
    (void)pad;
    return qyi_reclaim_all() != 0;
}

/* glibc's parameters describe glibc's heap. Accepted, so that programs go on. */
QYI_EXPORT int mallopt(int parameter, int value)
{
    (void)parameter;
    (void)value;
    return 1;
}

QYI_EXPORT QYI_COLD struct mallinfo2 mallinfo2(void)
{
    struct qyi_stats stats;
    qyi_stats_collect(&stats);
    return (struct mallinfo2){
        .arena = stats.mapped - stats.large_live,
        .ordblks = 1,
        .hblks = stats.large_count,
        .hblkhd = stats.large_live,
        .uordblks = stats.live - stats.large_live,
        .fordblks = stats.mapped - stats.live,
        .keepcost = stats.dirty,
    };
}

static int clamp_to_int(size_t n)
{
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

QYI_EXPORT QYI_COLD struct mallinfo mallinfo(void)
{
    const struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = clamp_to_int(info.arena),
        .ordblks = clamp_to_int(info.ordblks),
        .hblks = clamp_to_int(info.hblks),
        .hblkhd = clamp_to_int(info.hblkhd),
        .uordblks = clamp_to_int(info.uordblks),
        .fordblks = clamp_to_int(info.fordblks),
        .keepcost = clamp_to_int(info.keepcost),
    };
}

QYI_EXPORT QYI_COLD void malloc_stats(void)
{
    qyi_stats_print(STDERR_FILENO);
}

QYI_EXPORT QYI_COLD int malloc_info(int options, FILE *stream)
{
    if (options != 0)
        return EINVAL;
    struct qyi_stats stats;
    qyi_stats_collect(&stats);
    fprintf(stream, "<malloc version=\"quarry-1\">\n<heap nr=\"0\">\n<sizes>\n");
    for (unsigned class = 0; class < QYI_CLASS_COUNT; class++) {
        const struct qyi_stats_class *row = &stats.classes[class];
        const size_t bytes = qyi_classes[class].bytes;
        if (row->slabs != 0)
            fprintf(stream, "<size from=\"%zu\" to=\"%zu\" total=\"%zu\" count=\"%zu\"/>\n",
                    class == 0 ? 1 : (size_t)qyi_classes[class - 1].bytes + 1, bytes, row->free * bytes, row->free);
    }
    fprintf(stream, "</sizes>\n</heap>\n");
    fprintf(stream, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", stats.large_count, stats.large_live);
    fprintf(stream, "<total type=\"live\" size=\"%zu\"/>\n", stats.live);
    fprintf(stream, "<total type=\"rest\" size=\"%zu\"/>\n", stats.mapped - stats.live);
    fprintf(stream, "<system type=\"current\" size=\"%zu\"/>\n", stats.mapped);
    fprintf(stream, "<aspace type=\"total\" size=\"%zu\"/>\n</malloc>\n", stats.mapped);
    return 0;
}

/* ---- C++ ---- */

typedef void (*new_handler)(void);
typedef void *(*nothrow_new)(size_t bytes, const void *nothrow);
typedef void *(*nothrow_aligned_new)(size_t bytes, size_t align, const void *nothrow);

/*
 * A function of the C++ library, which is there by the time that it is needed: somebody called operator new. It may
 * have been loaded later than we, and privately (by a Python module, say), so ask for it by its file.
 */
static void *cxx_function(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
    void *function = NULL;
    for (size_t i = 0; function == NULL && i < sizeof libraries / sizeof libraries[0]; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            function = dlsym(library, name);
            dlclose(library);
        }
    }
    if (function != NULL)
        return function;
    /* It may be linked statically into the program, which comes before us. operator new would be ours there. */
    return dlsym(strncmp(name, "_ZSt", 4) == 0 ? RTLD_DEFAULT : RTLD_NEXT, name);
}

/* As the standard wants it: ask the new-handler for memory until there is some, or no handler is installed. */
static QYI_COLD void *new_or_throw(size_t bytes, size_t align)
{
    for (;;) {
        void *p = qyi_aligned(align, bytes);
        if (p != NULL)
            return p;
        new_handler (*get_handler)(void) = (new_handler(*)(void))cxx_function("_ZSt15get_new_handlerv");
        const new_handler handler = get_handler == NULL ? NULL : get_handler();
        if (handler == NULL) {
            void (*throw_bad_alloc)(void) = (void (*)(void))cxx_function("_ZSt17__throw_bad_allocv");
            if (throw_bad_alloc != NULL)
                throw_bad_alloc();
            qyi_message("operator new: out of memory, and no C++ library to throw std::bad_alloc with");
            abort();
        }
        handler();
    }
}

/*
 * A new-handler may throw, and these must not. Catching takes C++: let the C++ library's own function do it, which
 * calls our throwing one.
 */
static QYI_COLD void *new_or_null(size_t bytes, const void *nothrow)
{
    const nothrow_new theirs = (nothrow_new)cxx_function("_ZnwmRKSt9nothrow_t");
    return theirs == NULL ? NULL : theirs(bytes, nothrow);
}

static QYI_COLD void *aligned_new_or_null(size_t bytes, size_t align, const void *nothrow)
{
    const nothrow_aligned_new theirs = (nothrow_aligned_new)cxx_function("_ZnwmSt11align_val_tRKSt9nothrow_t");
    return theirs == NULL ? NULL : theirs(bytes, align, nothrow);
}

QYI_EXPORT QYI_LINE_ALIGNED void *_Znwm(size_t bytes)
{
    void *p = qyi_malloc(bytes);
    return QYI_LIKELY(p != NULL) ? p : new_or_throw(bytes, 1);
}

QYI_EXPORT void *_ZnwmRKSt9nothrow_t(size_t bytes, const void *nothrow)
{
    void *p = qyi_malloc(bytes);
    return QYI_LIKELY(p != NULL) ? p : new_or_null(bytes, nothrow);
}

QYI_EXPORT void *_ZnwmSt11align_val_t(size_t bytes, size_t align)
{
    void *p = qyi_aligned(align, bytes);
    return QYI_LIKELY(p != NULL) ? p : new_or_throw(bytes, align);
}

QYI_EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t align, const void *nothrow)
{
    void *p = qyi_aligned(align, bytes);
    return QYI_LIKELY(p != NULL) ? p : aligned_new_or_null(bytes, align, nothrow);
}

void *_Znam(size_t bytes) QYI_ALIAS(_Znwm);
void *_ZnamRKSt9nothrow_t(size_t bytes, const void *nothrow) QYI_ALIAS(_ZnwmRKSt9nothrow_t);
void *_ZnamSt11align_val_t(size_t bytes, size_t align) QYI_ALIAS(_ZnwmSt11align_val_t);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t bytes, size_t align, const void *nothrow)
    QYI_ALIAS(_ZnwmSt11align_val_tRKSt9nothrow_t);

/* Deletes ignore what they are told beyond the pointer: size, alignment and nothrow come in further registers. */
void _ZdlPv(void *p) QYI_ALIAS(free);
void _ZdlPvm(void *p) QYI_ALIAS(free);
void _ZdlPvSt11align_val_t(void *p) QYI_ALIAS(free);
void _ZdlPvmSt11align_val_t(void *p) QYI_ALIAS(free);
void _ZdlPvRKSt9nothrow_t(void *p) QYI_ALIAS(free);
void _ZdlPvSt11align_val_tRKSt9nothrow_t(void *p) QYI_ALIAS(free);
void _ZdaPv(void *p) QYI_ALIAS(free);
void _ZdaPvm(void *p) QYI_ALIAS(free);
void _ZdaPvSt11align_val_t(void *p) QYI_ALIAS(free);
void _ZdaPvmSt11align_val_t(void *p) QYI_ALIAS(free);
void _ZdaPvRKSt9nothrow_t(void *p) QYI_ALIAS(free);
void _ZdaPvSt11align_val_tRKSt9nothrow_t(void *p) QYI_ALIAS(free);

/* ---- libc functions that would undermine us ---- */

/*
 * A library opened with RTLD_DEEPBIND finds libc's malloc before ours, and what it allocates is then freed by us.
 * Dropping the flag (an option) is what its author would have wished. The real function looks at its return address to
 * find the caller's search path, so this must stay a jump; tests/dlopen_runpath checks.
 */
__attribute__((optimize("O2"))) QYI_EXPORT void *dlopen(const char *file, int mode)
{
    static void *(*real)(const char *file, int mode);
    if (QYI_UNLIKELY(real == NULL))
        real = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    if ((mode & RTLD_DEEPBIND) != 0 && qyi_options.deepbind_drop) {
        mode &= ~RTLD_DEEPBIND;
        if (qyi_options.verbose)
            qyi_message("dlopen: RTLD_DEEPBIND dropped (QUARRY_OPTIONS=deepbind:keep keeps it)");
    }
    return real(file, mode);
}

/*
 * The reservation counts as address space. A process that limits itself (RLIMIT_AS) must not find that it is over its
 * limit already.
 */
static int set_limit(pid_t pid, int resource, const struct rlimit *limit, struct rlimit *old)
{
    if (resource == RLIMIT_AS && limit != NULL && limit->rlim_cur != RLIM_INFINITY && (pid == 0 || pid == getpid()))
        qyi_region_unreserve();
    return (int)syscall(SYS_prlimit64, pid, resource, limit, old);
}

static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "one system call serves both");

QYI_EXPORT int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
    return set_limit(0, (int)resource, limit, NULL);
}

QYI_EXPORT int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
    return set_limit(0, (int)resource, (const struct rlimit *)limit, NULL);
}

QYI_EXPORT int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *limit, struct rlimit *old)
{
    return set_limit(pid, (int)resource, limit, old);
}

QYI_EXPORT int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *limit, struct rlimit64 *old)
{
    return set_limit(pid, (int)resource, (const struct rlimit *)limit, (struct rlimit *)old);
}
