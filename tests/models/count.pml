/*
 * count.pml: the protocol of reference counts (src/count.h).
 *
 * One block. Thread 0 has it at first; whoever has a reference may add one, hand one to another thread, look at the bytes, or
 * drop one or all of its own. The last one frees the block; then a thread gets it once more from the allocator, as new.
 *
 * The steps are those of count.h, C1 to C4. Memory is as weak as C says: the cell's values stand in their modification order, and a
 * load may find any of them that is not older than what the thread knows of. What a thread knows is carried on by release and
 * acquire only: by an atomic operation's release to the value that it writes, from there on by every further read-modify-write
 * (a release sequence), and by an acquire to the thread that finds the value. Handing a reference over, and getting a block
 * from the allocator, synchronise by themselves.
 *
 * Checked: the block is freed once, when nobody has a reference, by a thread that knows of every access to its bytes; the next
 * user finds its cell at 0; and when all threads have come to rest, it has been freed.
 *
 * Mutations, each of which must fail (see run_models.sh):
 *     ADD_NOT_ATOMIC      C1 as a load and a store
 *     SUB_NOT_ATOMIC      C3 as a load and a store
 *     LOOK_NOT_ACQUIRE    C2 relaxed
 *     SUB_NOT_RELEASE     C3 acquire only
 *     SUB_NOT_ACQUIRE     C3 release only, where C4 needs it
 *     LAST_UNNOTICED      C4 takes itself for one of several
 *     NO_RESET            C4 leaves the cell as it is
 *     NO_RESET_OF_MANY    the same in C2, when all references are dropped at once
 *     RESET_AFTER_FREE    C4 resets when the block is free already
 */

#ifndef THREADS
#define THREADS 3
#endif
#ifndef ADDS
#define ADDS 3
#endif
#ifndef REUSES
#define REUSES 1
#endif

#define HISTORY 12

/* ---- the cell ---- */

byte value[HISTORY]; /* in modification order, wrapping as the real one does */
byte carried[HISTORY]; /* whose accesses an acquire of this value makes known: a bit per thread */
byte newest;

/* ---- what only the model knows ---- */

byte references[THREADS];
byte known[THREADS];  /* whose accesses this thread knows of */
byte oldest[THREADS]; /* the oldest value that it may still find */
byte accessed;        /* who has looked at the bytes since the block was allocated */
bool is_free;
byte freed_at;        /* what whoever freed it knew of the cell */
byte adds = ADDS;
byte reuses = REUSES;

#define BIT(t) (1 << (t))

inline write_cell(new_value, new_carried)
{
    newest++;
    assert(newest < HISTORY);
    value[newest] = new_value; /* the arguments do not mention newest, which has changed */
    carried[newest] = new_carried;
    oldest[me] = newest
}

/* Everything that others know of this thread's accesses is out of date. */
inline access()
{
    atomic {
        assert(!is_free);
        accessed = accessed | BIT(me);
        i = 0;
        do
        ::  i < THREADS -> known[i] = known[i] & ~BIT(me); i++
        ::  else -> break
        od;
        i = 0;
        do
        ::  i <= newest -> carried[i] = carried[i] & ~BIT(me); i++
        ::  else -> break
        od;
        known[me] = known[me] | BIT(me);
        i = 0
    }
}

inline add()
{
#ifdef ADD_NOT_ATOMIC
    old = value[newest];
    atomic { write_cell(old + 1, 0); references[me]++; old = 0 }
#else
    atomic { /* C1 */
        old = value[newest];
        i = carried[newest];
        write_cell(old + 1, i);
        references[me]++;
        old = 0;
        i = 0
    }
#endif
}

inline hand_over(other)
{
    atomic {
        references[me]--;
        references[other]++;
        known[other] = known[other] | known[me];
        if
        ::  oldest[other] < oldest[me] -> oldest[other] = oldest[me]
        ::  else
        fi
    }
}

/* C2: any value that the thread can still find. */
inline look()
{
    atomic {
        i = oldest[me];
        do
        ::  i < newest -> i++
        ::  break
        od;
        old = value[i];
        oldest[me] = i;
#ifndef LOOK_NOT_ACQUIRE
        known[me] = known[me] | carried[i];
#endif
        i = 0
    }
}

inline subtract()
{
#ifdef SUB_NOT_ATOMIC
    atomic { old = value[newest]; known[me] = known[me] | carried[newest] }
    atomic { write_cell(old - count, known[me]); references[me] = references[me] - count }
#else
    atomic { /* C3 */
        old = value[newest];
        i = carried[newest];
#ifndef SUB_NOT_ACQUIRE
        known[me] = known[me] | carried[newest];
#endif
#ifdef SUB_NOT_RELEASE
        write_cell(old - count, i);
#else
        write_cell(old - count, i | known[me]);
#endif
        references[me] = references[me] - count;
        i = 0
    }
#endif
}

inline reset()
{
    atomic { write_cell(0, 0) }
}

inline free_block()
{
    atomic {
        assert(!is_free);
        i = 0;
        do
        ::  i < THREADS -> assert(references[i] == 0); i++
        ::  else -> break
        od;
        assert((accessed & ~known[me]) == 0);
        accessed = 0;
        is_free = true;
        freed_at = oldest[me];
        i = 0
    }
}

inline drop()
{
    look();
    if
    ::  old == count - 1 ->
#ifndef NO_RESET_OF_MANY
        if
        ::  count != 1 -> reset()
        ::  else
        fi;
#endif
        atomic { references[me] = references[me] - count };
        free_block()
    ::  else ->
        subtract();
        if
        ::  old >= count /* others have references left */
#ifndef LAST_UNNOTICED
        ::  old < count ->
            assert(old == count - 1);
#if !defined(NO_RESET) && !defined(RESET_AFTER_FREE)
            reset(); /* C4 */
#endif
            free_block();
#ifdef RESET_AFTER_FREE
            reset();
#endif
#else
        ::  old < count
#endif
        fi
    fi;
    atomic { old = 0; count = 0 }
}

/* What the allocator does in between orders everything that came before. The history begins anew. */
inline allocate()
{
    atomic {
        is_free && reuses > 0 ->
        reuses--;
        is_free = false;
        assert(value[newest] == 0 && freed_at == newest);
        i = 0;
        do
        ::  i <= newest -> value[i] = 0; carried[i] = 0; i++
        ::  else -> break
        od;
        newest = 0;
        i = 0;
        do
        ::  i < THREADS -> oldest[i] = 0; known[i] = 0; i++
        ::  else -> break
        od;
        references[me] = 1;
        adds = ADDS;
        i = 0
    }
}

proctype Thread(byte me)
{
    byte old, count, i;
end:
    do
    ::  atomic { references[me] > 0 && adds > 0 -> adds-- }; add()
    ::  references[me] > 0 && (accessed & BIT(me)) == 0 -> access()
    ::  atomic { references[me] > 0 -> count = 1 }; drop()
    ::  atomic { references[me] > 1 -> count = references[me] }; drop()
    ::  references[me] > 0 -> hand_over((me + 1) % THREADS)
    ::  references[me] > 0 -> hand_over((me + THREADS - 1) % THREADS)
    ::  allocate()
    od
}

init {
    atomic {
        references[0] = 1;
        byte t = 0;
        do
        ::  t < THREADS -> run Thread(t); t++
        ::  else -> break
        od;
        t = 0
    }
    /* Everybody has come to rest. */
    timeout;
    assert(is_free && reuses == 0)
}
