/*
 * unwind.c: who called, all the way up, quickly. Layer 3.
 *
 * There are two ways, and the first that applies is taken:
 *
 *     memory   the return addresses stand where they stood before        about 1 ns a frame
 *     tables   of every function, read by libgcc's unwinder              200 ns and more a frame
 *
 * Frame pointers are not followed: most of what is compiled has none, and a chain of them looks plausible there too, with frames
 * missing. Memory is as quick, and as exact as the tables.
 *
 * Memory. Where on the stack a function's return address stands, relative to that of the function it called, is decided by the
 * place of the call: frames have the size that they were compiled with. So if a thread comes here with the stack pointer that it
 * had before, and the innermost slot holds the return address that it held then, the next slot is the right place to look again, and
 * so on up; if all agree, the stack is the one that was unwound then. A slot is read only after the one below it has agreed, so
 * nothing is read that is not part of the stack now. Functions whose frames vary in size (alloca) and that come at equal stack
 * pointers with different sizes would have to leave the old return addresses in the new places to deceive it.
 *
 * Tables. The unwinder is libgcc's, a copy of which is part of the shared library, so that nothing has to be loaded. It does not
 * allocate, and with glibc 2.35 and later takes no lock. No lock of ours is held meanwhile.
 */
#include "unwind.h"

#include "lock.h"
#include "os.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <unwind.h>

#define RACY __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

enum {
    SETS = 16,
    WAYS = 2,
};

struct stack_memory {
    const void *frame; /* NULL: empty */
    void *value;
    uint32_t slots;
    uint32_t offset[QYI_UNWIND_SLOTS]; /* of each slot, from the frame, in words */
    uintptr_t expected[QYI_UNWIND_SLOTS];
};

struct qyi_unwind_memory {
    uint32_t thread; /* qyi_lock_me() of whose stack it is */
    uint32_t next_way;
    struct stack_memory stack[SETS][WAYS];
};

const size_t qyi_unwind_memory_bytes = sizeof(struct qyi_unwind_memory);

/* Of interpose.c, which is in the shared library alone. */
extern const char qyi_interposes __attribute__((weak, visibility("hidden")));

/* The library's code; nothing in a program that contains the archive. */
static uintptr_t own_start, own_end;

QYI_INLINE bool is_own(uintptr_t address)
{
    return address - own_start < own_end - own_start;
}

/* ---- start ---- */

bool qyi_unwind_start(void)
{
    struct qyi_unwound first;
    struct qyi_module_place own;
    if (&qyi_interposes != NULL && qyi_os_find_module((uintptr_t)&qyi_unwind_start, &own)) {
        own_start = own.start;
        own_end = own.end;
    }
    if (getauxval(AT_BASE) == 0)
        return true; /* a program without a loader: so early, looking for tables would abort */
    qyi_unwind(&first, __builtin_frame_address(0)); /* what is done at the first time only is done now */
    return first.count != 0;
}

/* ---- by tables ---- */

struct trace {
    struct qyi_unwound *unwound;
    uintptr_t frame; /* slots below are of functions that will have returned */
    bool inside;     /* still in the library */
    bool slots_known;
};

static void add_slot(struct trace *trace, uintptr_t ip, uintptr_t cfa)
{
    struct qyi_unwound *unwound = trace->unwound;
    uintptr_t *slot = (uintptr_t *)(cfa - sizeof(uintptr_t)); /* NOLINT(performance-no-int-to-ptr) */
    if (cfa <= trace->frame)
        return;
#if defined(__x86_64__)
    if (unwound->slots == QYI_UNWIND_SLOTS || *slot != ip) /* a signal's frame */
        trace->slots_known = false;
#else
    trace->slots_known = false; /* where a return address is saved, every function decides for itself */
#endif
    if (!trace->slots_known)
        return;
    unwound->slot[unwound->slots] = slot;
    unwound->value[unwound->slots++] = ip;
}

static RACY _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *argument)
{
    struct trace *trace = argument;
    struct qyi_unwound *unwound = trace->unwound;
    const uintptr_t ip = _Unwind_GetIP(context);
    const uintptr_t cfa = _Unwind_GetCFA(context);
    if (ip == 0)
        return _URC_END_OF_STACK;
    if (cfa <= trace->frame)
        return _URC_NO_REASON;
    if (trace->slots_known)
        add_slot(trace, ip, cfa);
    if (trace->inside && is_own(ip - 1))
        return _URC_NO_REASON;
    trace->inside = false;
    unwound->address[unwound->count++] = ip - 1;
    return unwound->count == QYI_STACK_FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

QYI_NOINLINE void qyi_unwind(struct qyi_unwound *unwound, const void *frame)
{
    struct trace trace = {.unwound = unwound, .frame = (uintptr_t)frame, .inside = true, .slots_known = true};
    const int saved_errno = errno;
    unwound->count = unwound->slots = 0;
    _Unwind_Backtrace(visit, &trace);
    if (!trace.slots_known)
        unwound->slots = 0;
    errno = saved_errno;
}

/* ---- by memory ---- */

static struct stack_memory *set_of(struct qyi_unwind_memory *memory, const void *frame)
{
    return memory->stack[(uintptr_t)frame / 16 * 0x9e3779b97f4a7c15 >> 60];
}

static_assert(SETS == 1 << (64 - 60), "the hash's upper bits are a set");

static RACY bool agrees(const struct stack_memory *stack, const void *frame)
{
    const uintptr_t *words = frame;
    for (uint32_t i = 0; i < stack->slots; i++) {
        if (words[stack->offset[i]] != stack->expected[i])
            return false;
    }
    return true;
}

void *qyi_unwind_recall(struct qyi_unwind_memory *memory, const void *frame)
{
    if (QYI_UNLIKELY(memory->thread != qyi_lock_me())) {
        memset(memory, 0, sizeof *memory); /* the stack of a thread that is gone: its pages may be too */
        memory->thread = qyi_lock_me();
        return NULL;
    }
    struct stack_memory *set = set_of(memory, frame);
    for (unsigned way = 0; way < WAYS; way++) {
        if (set[way].frame == frame && agrees(&set[way], frame))
            return set[way].value;
    }
    return NULL;
}

void qyi_unwind_remember(struct qyi_unwind_memory *memory, const void *frame, const struct qyi_unwound *unwound,
                         void *value)
{
    if (unwound->slots == 0)
        return;
    struct stack_memory *stack = &set_of(memory, frame)[memory->next_way++ % WAYS];
    stack->frame = NULL;
    for (unsigned i = 0; i < unwound->slots; i++) {
        const size_t offset = (size_t)(unwound->slot[i] - (const uintptr_t *)frame);
        if (offset > UINT32_MAX)
            return;
        stack->offset[i] = (uint32_t)offset;
        stack->expected[i] = unwound->value[i];
    }
    stack->slots = unwound->slots;
    stack->value = value;
    stack->frame = frame;
}
