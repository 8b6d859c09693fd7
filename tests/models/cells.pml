/*
 * cells.pml: how a slab gets reference counts while its blocks are in use: C0 of src/count.h.
 *
 * A slab of two granules; the block lies in both. Thread 0 has it, adds a reference by way of either granule, hands it to thread 1,
 * and both drop theirs by way of either granule. A third thread gives the slab its cells at the same time, because of another
 * block. An earlier slab has left its mark on one of the granules: leave to share, which does not hold for this one.
 *
 * A load finds any value that is not older than what its thread knows of; what a thread knows is carried on by release and acquire,
 * by handing a reference over, and by the heap's lock.
 *
 * Checked: nobody frees the block while the other has a reference to it.
 *
 * Mutations, each of which must fail (see run_models.sh):
 *     ONE_ROUND          a granule may be shared by as soon as it has the flag itself
 *     NOT_CLOSED         what an earlier slab has left is not taken away first
 *     FLAG_NOT_RELEASE   the flag is set relaxed
 *     FLAG_NOT_ACQUIRE   it is looked at relaxed
 *     OPEN_NOT_RELEASE   leave to share is given relaxed
 *     OPEN_NOT_ACQUIRE   it is looked at relaxed
 *     NO_LOCK            who finds no leave adds the reference without waiting for whoever is about to give it
 */

#define COUNTER 2 /* the thread that counts the slab */

/* In the order in which they happen; a thread knows a set of them. */
#define CLOSED(g) (1 << (g))
#define FLAG(g)   (4 << (g))
#define OPEN(g)   (16 << (g))
#define ALL       63

byte happened;
byte known[3];
byte with_flag[2]; /* what the releases of the flag and of the leave carry */
byte with_open[2];
bool lock;
byte lock_carries;

byte references = 1;
byte holding[2]; /* of the two threads */
bool is_freed;

inline happen(what)
{
    happened = happened | (what);
    known[me] = known[me] | (what)
}

inline set_flag(g)
{
    atomic {
#ifdef FLAG_NOT_RELEASE
        with_flag[g] = FLAG(g);
#else
        with_flag[g] = known[me] | FLAG(g);
#endif
        happen(FLAG(g))
    }
}

inline open(g)
{
    atomic {
#ifdef OPEN_NOT_RELEASE
        with_open[g] = OPEN(g);
#else
        with_open[g] = known[me] | OPEN(g);
#endif
        happen(OPEN(g))
    }
}

/* Under the lock. */
inline count_slab()
{
    if
    ::  happened == ALL
    ::  else ->
#ifdef NOT_CLOSED
        atomic { happen(CLOSED(0)); happen(CLOSED(1)) }
#else
        atomic { happen(CLOSED(0)) }
        atomic { happen(CLOSED(1)) }
#endif
#ifdef ONE_ROUND
        set_flag(0);
        open(0);
        set_flag(1);
        open(1)
#else
        set_flag(0);
        set_flag(1);
        open(0);
        open(1)
#endif
    fi
}

/* Does the thread find the granule's flag? */
inline look_for_flag(g)
{
    atomic {
        found = false;
        if
        ::  (known[me] & FLAG(g)) == 0 /* perhaps an old value */
        ::  (happened & FLAG(g)) != 0 ->
            found = true;
#ifndef FLAG_NOT_ACQUIRE
            known[me] = known[me] | with_flag[g];
#endif
            known[me] = known[me] | FLAG(g)
        fi
    }
}

/* Does it find leave to share? The old mark is on granule 0, until it is closed. */
inline look_for_leave(g)
{
    atomic {
        found = false;
        if
        ::  (known[me] & OPEN(g)) == 0 && (g != 0 || (happened & CLOSED(g)) != 0)
#ifdef NOT_CLOSED
        ::  (known[me] & OPEN(g)) == 0 && g == 0 -> found = true
#else
        ::  (known[me] & (OPEN(g) | CLOSED(g))) == 0 && g == 0 -> found = true
#endif
        ::  (happened & OPEN(g)) != 0 ->
            found = true;
#ifndef OPEN_NOT_ACQUIRE
            known[me] = known[me] | with_open[g];
#endif
            known[me] = known[me] | OPEN(g)
        fi
    }
}

/* What the last holder of the lock knew is known to the next. */
inline take_lock()
{
    atomic { !lock -> lock = true; known[me] = known[me] | lock_carries }
}

inline give_lock()
{
    atomic { lock_carries = known[me]; lock = false }
}

inline retain(g)
{
    look_for_flag(g);
    if
    ::  found -> look_for_leave(g)
    ::  else
    fi;
    if
    ::  found
    ::  else ->
#ifndef NO_LOCK
        take_lock();
        count_slab();
        give_lock()
#endif
    fi;
    atomic { references++; holding[me]++ }
}

/* With the flag, the cell decides; without, there can be no other owner. */
inline release(g)
{
    look_for_flag(g);
    atomic {
        assert(!is_freed);
        holding[me]--;
        if
        ::  found -> references--
        ::  else -> references = 0
        fi;
        if
        ::  references == 0 ->
            assert(holding[0] + holding[1] == 0);
            is_freed = true
        ::  else
        fi;
        found = false
    }
}

proctype Owner(byte me)
{
    bool found;
    if
    ::  me == 0 ->
        if
        ::  retain(0)
        ::  retain(1)
        fi;
        atomic { holding[0]--; holding[1]++; known[1] = known[1] | known[0] }
    ::  me == 1 -> holding[1] > 0
    fi;
    if
    ::  release(0)
    ::  release(1)
    fi
}

proctype Counter(byte me)
{
    take_lock();
    count_slab();
    give_lock()
}

init {
    atomic {
        holding[0] = 1;
        run Owner(0);
        run Owner(1);
        run Counter(COUNTER)
    }
    timeout;
    assert(is_freed)
}
