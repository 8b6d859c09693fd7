/*
 * Forks from several threads at once while these and others allocate and free across threads. The child allocates, frees its
 * parent's blocks (its own thread's and those of threads that do not exist there), and forks again.
 *
 * FORK_SECONDS (2) and FORK_THREADS (4 that fork, as many that only allocate) make it longer: make check-soak.
 */
#include "children.h"
#include <stdatomic.h>

enum { BOARD = 4096, KEPT = 300, MOST_THREADS = 64 };

struct block {
    size_t size;
    uint64_t seed;
    unsigned char bytes[];
};

/* Blocks pass from thread to thread through this board; whoever takes one out owns it, in every process. */
static _Atomic(struct block *) board[BOARD];
static _Atomic bool stop;
static _Atomic size_t forks;

static struct block *make(uint64_t *state)
{
    size_t size = bb_random(state) % (bb_random(state) % 64 == 0 ? 100000 : 600);
    struct block *block = malloc(sizeof(*block) + size);
    CHECK(block != NULL);
    block->size = size;
    block->seed = bb_random(state);
    bb_fill(block->bytes, size < 2000 ? size : 2000, block->seed);
    return block;
}

static void drop(struct block *block)
{
    if (block == NULL)
        return;
    CHECK(bb_holds(block->bytes, block->size < 2000 ? block->size : 2000, block->seed), "a block of %zu bytes changed",
          block->size);
    free(block);
}

static void trade(uint64_t *state, int steps)
{
    for (int i = 0; i < steps; i++) {
        struct block *block = bb_random(state) % 8 != 0 ? make(state) : NULL;
        drop(atomic_exchange(&board[bb_random(state) % BOARD], block));
    }
}

/* In the child: our own kept blocks, a good part of the board, new ones. */
static void turn_over_all(struct block **kept, uint64_t *state, int depth)
{
    alarm(CHILD_SECONDS);
    trade(state, 200);
    for (int i = 0; i < KEPT; i++) {
        drop(kept[i]);
        kept[i] = make(state);
    }
    for (int i = depth; i < BOARD; i += 3)
        drop(atomic_exchange(&board[i], NULL));
    trade(state, 200);
}

/* The child, and as often as not its child, and the child of that: every one works through what it inherited. */
static void child(struct block **kept, uint64_t *state)
{
    for (int depth = 0; depth < 3; depth++) {
        turn_over_all(kept, state, depth);
        if (bb_random(state) % 2 == 0)
            break;
        pid_t descendant = fork();
        if (descendant != 0) {
            expect_child(descendant, "descendant");
            break;
        }
    }
    for (int i = 0; i < KEPT; i++)
        drop(kept[i]);
    _exit(0);
}

static void *forker(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    struct block *kept[KEPT];
    for (int i = 0; i < KEPT; i++)
        kept[i] = make(&state);
    while (!stop) {
        trade(&state, (int)(bb_random(&state) % 300));
        pid_t pid = fork();
        if (pid == 0)
            child(kept, &state);
        atomic_fetch_add(&forks, 1);
        trade(&state, 50);
        expect_child(pid, "child");
    }
    for (int i = 0; i < KEPT; i++)
        drop(kept[i]);
    return NULL;
}

static void *trader(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    while (!stop)
        trade(&state, 1000);
    return NULL;
}

int main(void)
{
    size_t seconds = bb_setting("FORK_SECONDS", 2), count = bb_setting("FORK_THREADS", 4);
    CHECK(count >= 1 && count <= MOST_THREADS);
    static pthread_t threads[2 * MOST_THREADS];
    for (size_t i = 0; i < count; i++) {
        threads[2 * i] = bb_start(forker, (void *)(2 * i + 1));
        threads[2 * i + 1] = bb_start(trader, (void *)(2 * i + 2));
    }
    bb_sleep_ms((unsigned)seconds * 1000);
    stop = true;
    for (size_t i = 0; i < 2 * count; i++)
        bb_join(threads[i]);
    for (size_t i = 0; i < BOARD; i++)
        drop(atomic_exchange(&board[i], NULL));
    bb_note("%zu forks", (size_t)forks);
    CHECK(forks > 0);
    return 0;
}
