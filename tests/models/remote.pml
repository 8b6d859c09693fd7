/*
 * remote.pml: the protocol by which threads give blocks back to a slab that another heap owns (src/slab.c, src/heap.c).
 *
 * Two slabs of two blocks; each of two remote threads starts with a block of each slab. Two heaps: heap A owns both
 * slabs at first; its process may hand a slab to heap B, and take it back, at any time between two of its steps (as
 * when a thread ends, its slabs become common, and another thread takes them), and still looks after the news that
 * come to A afterwards. A block that is free may be handed out once more, to either thread.
 *
 * The steps are those of slab.c: R1 to R3 and O1 to O3. Every access to memory that others can see is a step of its
 * own.
 *
 * Checked: no block is handed out, or free, twice; nobody touches a slab that was deleted; a slab is on one list at a
 * time; and when all threads have come to rest, every block has been collected and every list is empty.
 *
 * Mutations, each of which must fail (see run_models.sh):
 *     DELETE_UNANNOUNCED    a slab is deleted when all its blocks are free, no matter who is on the way to announce one
 *     NEXT_AFTER_COLLECT    notify_next is read after the announcements were taken (O1)
 *     COUNT_AFTER_BITS      O2 before O1
 *     ANNOUNCE_BEFORE_BITS  R2 before R1
 *     DROP_FOREIGN_NEWS     news of a slab that has moved to another heap are not passed on
 *     PUSH_WITHOUT_CAS      R3 stores the list's head without looking whether it has changed
 *     PUSH_ALWAYS           R3 every time, not only by the first announcer
 *     COUNT_NOT_TAKEN       O1 reads the announcements and leaves them
 */

#define SLABS  2
#define ALL    3        /* both bits of a slab */
#define NOBODY 255
#define NONE   255

#define A 0
#define B 1

#ifndef REUSES
#define REUSES 1
#endif
#ifndef MOVES
#define MOVES 2
#endif

/* ---- a slab ---- */

byte bits[SLABS];         /* remote: any thread */
byte pending[SLABS];
byte notify_next[SLABS];
byte free[SLABS];         /* the owner, under its heap's lock */
int unannounced[SLABS];
byte owner[SLABS];        /* in the entry; changed under both heaps' locks */

/* ---- a heap ---- */

byte notify[2];           /* a slab, or NONE */
bool lock_b;              /* A's needs none here: only A's process takes it */

/* ---- what only the model knows ---- */

byte holder[2 * SLABS];   /* the thread that has block 2 * slab + number; NOBODY: free, or on its way */
bool on_list[SLABS];
bool deleted[SLABS];
byte reuses = REUSES;
byte moves = MOVES;

#define CAN_GO(s)   (free[s] == ALL && !deleted[s] && UNANNOUNCED_OK(s))
#ifdef DELETE_UNANNOUNCED
#define UNANNOUNCED_OK(s) true
#else
#define UNANNOUNCED_OK(s) (unannounced[s] == 0)
#endif

/* Push slab s on heap h's list: any thread, and the former owner that passes news on. */
inline push(s, h, head)
{
    do
    ::  head = notify[h];
        atomic { assert(!deleted[s]); notify_next[s] = head }
        atomic {
#ifdef PUSH_WITHOUT_CAS
            if
            ::  true ->
#else
            if
            ::  notify[h] != head -> skip
            ::  else ->
#endif
                assert(!on_list[s]);
                on_list[s] = true;
                notify[h] = s;
                break
            fi
        }
    od
}

inline set_bit()
{
    atomic {
        assert(!deleted[s] && (bits[s] & mask) == 0);
        bits[s] = bits[s] | mask
    }
}

inline announce()
{
    atomic {
        assert(!deleted[s]);
        first = (pending[s] == 0);
        pending[s] = pending[s] + 1
    }
}

/* A thread that frees whatever it is given. */
proctype Remote(byte me)
{
    byte block, s, mask, seen_owner, head;
    bool first;
end:
    do
    ::  atomic {
            if
            ::  holder[0] == me -> block = 0
            ::  holder[1] == me -> block = 1
            ::  holder[2] == me -> block = 2
            ::  holder[3] == me -> block = 3
            fi;
            s = block / 2;
            mask = 1 << (block % 2);
            assert(!deleted[s]);
            seen_owner = owner[s];
            holder[block] = NOBODY /* this call of free is the last that the program knows of the block */
        }
#ifdef ANNOUNCE_BEFORE_BITS
        announce();
        set_bit();
#else
        set_bit();  /* R1 */
        announce(); /* R2 */
#endif
#ifdef PUSH_ALWAYS
        first = true;
#endif
        if
        ::  first -> push(s, seen_owner, head) /* R3 */
        ::  else -> skip
        fi;
        atomic { block = 0; s = 0; mask = 0; seen_owner = 0; head = 0; first = false } /* fewer states */
    od
}

inline take_announcements()
{
    atomic {
        assert(!deleted[s]);
        announced = pending[s];
#ifndef COUNT_NOT_TAKEN
        pending[s] = 0;
#endif
        on_list[s] = false
    }
}

/* A word of the bitmap has one bit here, so that the owner's walk over the words has steps. */
inline take_bit(mask)
{
    atomic {
        if
        ::  (bits[s] & mask) != 0 ->
            assert((free[s] & mask) == 0);
            assert(holder[2 * s + mask - 1] == NOBODY);
            bits[s] = bits[s] & (ALL - mask);
            free[s] = free[s] | mask;
            found = found + 1
        ::  else -> skip
        fi
    }
}

/* The caller holds the heap's lock. */
inline collect()
{
#ifdef COUNT_AFTER_BITS
    take_bit(1);
    take_bit(2);
    take_announcements();
#else
    take_announcements(); /* O1 */
    take_bit(1);          /* O2 */
    take_bit(2);
#endif
    atomic {
        unannounced[s] = unannounced[s] + found - announced; /* O3 */
        if
        ::  CAN_GO(s) -> deleted[s] = true
        ::  else -> skip
        fi;
        found = 0;
        announced = 0
    }
}

inline drain(h)
{
    atomic { s = notify[h]; notify[h] = NONE }
    do
    ::  s == NONE -> break
    ::  else ->
#ifndef NEXT_AFTER_COLLECT
        next = notify_next[s];
#endif
        if
        ::  owner[s] != h ->
            atomic { on_list[s] = false; other = owner[s] }
#ifndef DROP_FOREIGN_NEWS
            push(s, other, head)
#endif
        ::  else -> collect()
        fi;
#ifdef NEXT_AFTER_COLLECT
        next = notify_next[s];
#endif
        s = next
    od;
    atomic { s = 0; next = 0; other = 0; head = 0 }
}

/* Heap A: its thread, and whoever looks after it later. */
proctype HeapA()
{
    byte s, next, other, head, found, announced;
end:
    do
    ::  notify[A] != NONE -> drain(A)

    ::  atomic { moves > 0 && owner[0] == A && !deleted[0] && !lock_b -> owner[0] = B; moves-- }
    ::  atomic { moves > 0 && owner[1] == A && !deleted[1] && !lock_b -> owner[1] = B; moves-- }
    ::  atomic { moves > 0 && owner[0] == B && !deleted[0] && !lock_b -> owner[0] = A; moves-- }
    ::  atomic { moves > 0 && owner[1] == B && !deleted[1] && !lock_b -> owner[1] = A; moves-- }

        /* Hand a free block out, to be freed by either thread. */
    ::  atomic {
            reuses > 0 && owner[0] == A && !deleted[0] && free[0] != 0 ->
            reuses--;
            if
            ::  (free[0] & 1) != 0 -> s = 0
            ::  (free[0] & 2) != 0 -> s = 1
            fi;
            assert(holder[s] == NOBODY);
            free[0] = free[0] & (ALL - (1 << s));
            if
            ::  holder[s] = 0
            ::  holder[s] = 1
            fi;
            s = 0
        }
        /* Trimming finds a slab empty at any time. */
    ::  atomic { owner[0] == A && CAN_GO(0) -> deleted[0] = true }
    ::  atomic { owner[1] == A && CAN_GO(1) -> deleted[1] = true }
    od
}

proctype HeapB()
{
    byte s, next, other, head, found, announced;
end:
    do
    ::  atomic { notify[B] != NONE -> lock_b = true }
        drain(B);
        lock_b = false
    od
}

init {
    atomic {
        notify[A] = NONE;
        notify[B] = NONE;
        owner[0] = A;
        owner[1] = A;
        holder[0] = 0; holder[1] = 1;
        holder[2] = 0; holder[3] = 1;
        run Remote(0);
        run Remote(1);
        run HeapA();
        run HeapB()
    }
    /* Everybody has come to rest. */
    timeout;
    assert(notify[A] == NONE && notify[B] == NONE);
    assert(bits[0] == 0 && bits[1] == 0);
    assert(pending[0] == 0 && pending[1] == 0);
    assert(free[0] == ALL && unannounced[0] == 0);
    assert(free[1] == ALL && unannounced[1] == 0)
}
