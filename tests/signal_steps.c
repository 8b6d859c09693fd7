/*
 * A signal's handler interrupts malloc and free after each of their instructions in turn, and allocates and frees two blocks of the same
 * size: no block is handed out twice, however many the thread has at hand. Where a slow path begins nothing is promised: then no more.
 */
#include "children.h"
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__x86_64__)

enum {
    SIZE = 48,
    GROWN = 600,
    FIRST = 740,
    LAST = 790,
    STEPS = 28,
    NESTED = 2,
    AFTER = 3,
    FAST_BYTES = 96,
    TRAP_FLAG = 0x100
};

static void *(*volatile take)(size_t) = malloc;
static void (*volatile give)(void *) = free;

static void *held[LAST + NESTED + 1 + AFTER];
static size_t held_count;
static int steps_left;
static int *interruptions; /* shared with children */
static const char *wrong;

static void hold(void *block)
{
    for (size_t i = 0; i < held_count; i++) {
        if (held[i] == block)
            wrong = "a block is handed out twice";
    }
    held[held_count++] = block;
}

static void step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uintptr_t at = (uintptr_t)registers[REG_RIP];
    if (--steps_left != 0)
        return;
    registers[REG_EFL] &= ~TRAP_FLAG;
    if (at - (uintptr_t)take >= FAST_BYTES && at - (uintptr_t)give >= FAST_BYTES)
        return;
    ++*interruptions;
    const size_t before = held_count;
    for (size_t i = 0; i < NESTED; i++)
        hold(bb_hide(malloc(SIZE)));
    while (held_count > before)
        free(held[--held_count]);
}

static void trap(bool on)
{
    if (on)
        __asm__ volatile("pushfq; orl %0, (%%rsp); popfq" ::"i"(TRAP_FLAG) : "cc", "memory");
    else
        __asm__ volatile("pushfq; andl %0, (%%rsp); popfq" ::"i"(~TRAP_FLAG) : "cc", "memory");
}

/* With so many blocks taken before, interrupt one malloc, or one free, after so many steps. */
static void interrupt(size_t taken, bool in_free, int steps)
{
    while (held_count < taken)
        held[held_count++] = bb_hide(malloc(SIZE));
    void *block = in_free ? bb_hide(malloc(SIZE)) : NULL;
    steps_left = steps;
    trap(true);
    if (in_free)
        give(block);
    else
        block = take(SIZE);
    trap(false);
    if (!in_free)
        hold(bb_hide(block));
    for (size_t i = 0; i < AFTER; i++)
        hold(bb_hide(malloc(SIZE)));
    CHECK(wrong == NULL, "%s: %s interrupted after step %d, with %zu taken", wrong, in_free ? "free" : "malloc", steps,
          taken);
}

int main(void)
{
    const struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0);
    interruptions = mmap(NULL, sizeof *interruptions, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(interruptions != MAP_FAILED);
    /* The magazine has grown, and lies behind slots that it has outgrown: what stands before it are pointers to blocks. */
    while (held_count < GROWN)
        held[held_count++] = bb_hide(malloc(SIZE));
    while (held_count > 0)
        free(held[--held_count]);
    for (size_t taken = FIRST; taken < LAST; taken++) {
        for (int steps = 1; steps < STEPS; steps++) {
            const pid_t child = fork();
            if (child == 0) {
                interrupt(taken, false, steps);
                while (held_count > taken)
                    free(held[--held_count]);
                interrupt(taken, true, steps);
                _exit(0);
            }
            expect_child(child, "interrupted");
        }
    }
    if (*interruptions < (LAST - FIRST) * 2 * 16)
        bb_skip("this build has its fast paths elsewhere: only %d interruptions", *interruptions);
    return 0;
}

#else

int main(void)
{
    bb_skip("single steps are for x86-64");
}

#endif
