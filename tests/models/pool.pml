/*
 * pool.pml: how a thread's cache of a pool is emptied by others while its thread uses it without fences (src/pool.h, P1).
 *
 * The owner takes objects from its cache and puts them back; its stores wait in a buffer, in order, before others see them, as
 * on x86. Another thread closes the cache, has the kernel put a barrier into the owner (its buffer is empty then), waits until
 * nobody works in the cache, takes what is in it and opens it again. Finding the cache closed, the owner goes on under the
 * pool's lock.
 *
 * Checked: no object is in two places, and none is lost.
 *
 * Mutations, each of which must fail (see run_models.sh):
 *     NO_BARRIER       the other thread does without the barrier
 *     NO_WAIT          it does not wait until the owner has left
 *     LOOK_FIRST       the owner looks whether the cache is open before it says that it works there
 *     LEAVE_EARLY      the owner says that it has left before its change has been made
 */

#ifndef ROUNDS
#define ROUNDS 2
#endif
#define BUFFER 4        /* stores on their way */
#define OBJECTS 2

/* ---- memory that both see ---- */

byte count = OBJECTS;   /* of the cache; objects are numbers below it */
bool busy, open = true;
byte depot;             /* under the lock */
bool lock;

/* ---- the owner's store buffer: which variable, and its value ---- */

#define BUSY  0
#define COUNT 1
chan buffer = [BUFFER] of { byte, byte };
byte owner_count = OBJECTS; /* what the owner reads: its own latest store. Others write only when the buffer is empty */

byte used;              /* objects that the owner has in hand */
byte done;

inline drain_one()
{
    byte what, value;
    d_step {
        buffer?what,value;
        if
        :: what == BUSY -> busy = value
        :: what == COUNT -> count = value
        fi;
        what = 0;
        value = 0
    }
}

/* The hardware drains the buffer when it likes. */
active proctype hardware()
{
end:
    do
    :: atomic { nempty(buffer) -> drain_one() }
    od
}

inline acquire_lock()
{
    atomic { !lock -> lock = true }
    (empty(buffer)) /* an atomic read-modify-write drains it */
}

/* The count as the owner reads it: the last store in its buffer, or memory. */
inline read_count(n)
{
    if
    :: buffer??[COUNT,0] || buffer??[COUNT,1] || buffer??[COUNT,2] -> n = owner_count
    :: else -> n = count
    fi
}

active proctype owner()
{
    byte round, n;
    bool is_open;
    do
    :: round < ROUNDS ->
        round++;
#ifdef LOOK_FIRST
        is_open = open;
        buffer!BUSY,1;
#else
        buffer!BUSY,1;
        is_open = open;
#endif
        if
        :: is_open ->
            atomic { read_count(n) }
#ifdef LEAVE_EARLY
            buffer!BUSY,0;
#endif
            /* pop, or push back what was popped */
            if
            :: n > 0 ->
                atomic { owner_count = n - 1; buffer!COUNT,n - 1; used++ }
            :: used > 0 ->
                atomic { owner_count = n + 1; buffer!COUNT,n + 1; used-- }
            :: n == 0 && used == 0 -> skip
            fi;
#ifndef LEAVE_EARLY
            buffer!BUSY,0
#endif
        :: else ->
            buffer!BUSY,0;
            acquire_lock();
            if
            :: used > 0 -> atomic { used--; depot++ }
            :: depot > 0 -> atomic { depot--; used++ }
            :: used == 0 && depot == 0 -> skip
            fi;
            lock = false
        fi
    :: else -> break
    od;
    (empty(buffer));
    done++
}

active proctype other()
{
    byte round, n;
    do
    :: round < ROUNDS ->
        round++;
        atomic { !lock -> lock = true }
        open = false;
#ifndef NO_BARRIER
        (empty(buffer)); /* membarrier */
#endif
#ifndef NO_WAIT
        (!busy);
#endif
        n = count;
        count = 0;
        depot = depot + n;
        n = 0;
        open = true;
        lock = false
    :: else -> break
    od;
    done++
}

active proctype check()
{
    (done == 2);
    assert(count + used + depot == OBJECTS)
}
