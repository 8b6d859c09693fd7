/*
 * meter.c: which allocations the heap profile looks at. Layer 4.
 *
 * Think of all bytes that are ever allocated as a line, with points on it as a Poisson process throws them: on average one in
 * `rate` bytes, each place as likely as any other. A block is sampled if a point falls into it, which has the probability
 * 1 - exp(-bytes / rate); so a sample stands for one divided by that many blocks, and every sum of such weights has the right
 * expectation, whatever the sizes.
 *
 *     left        the bytes to the next point; they are drawn from an exponential distribution
 *     block       left > bytes: left -= bytes, and it is not sampled; else it is, and left is drawn anew
 *
 * The distribution has no memory, so what is drawn at the end of a sampled block is as good as the true rest; and parts of the line
 * can be walked apart from each other, in any order: every class of a thread's own is such a part. Its blocks are equal, so what is
 * drawn is the number of the call that gets the next sampled one, and its magazine counts up to that (magazine.h).
 *
 * Natural logarithm and exponential are computed here: libm is a library of its own.
 */
#include "meter.h"

#include "heap.h"
#include "meta.h"
#include "os.h"

#include <string.h>

QYI_NEAR size_t qyi_meter_rate;

static struct {
    uint64_t seed;
    struct qyi_lock lock;
    struct qyi_meter shared; /* of threads without magazines */
} meters;

/* ---- arithmetic ---- */

/* -ln(u) for 0 < u <= 1. */
static double minus_log(double u)
{
    static const double LN_2 = 0.69314718055994530942;
    static const double SQRT_2 = 1.41421356237309504880;
    uint64_t bits;
    memcpy(&bits, &u, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1023 << 52;
    double mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa); /* from 1 up to 2 */
    if (mantissa > SQRT_2) {
        mantissa /= 2;
        exponent++;
    }
    /* 2 artanh(t), by its series */
    const double t = (mantissa - 1) / (mantissa + 1);
    const double q = t * t;
    const double sum = 1 + q * (1 / 3. + q * (1 / 5. + q * (1 / 7. + q * (1 / 9. + q * (1 / 11. + q / 13.)))));
    return -(exponent * LN_2 + 2 * t * sum);
}

/* 1 - exp(-x) for x >= 0. */
static double one_minus_exp(double x)
{
    unsigned halved = 0;
    if (x > 40)
        return 1;
    for (; x > 1 / 16.; x /= 2)
        halved++;
    double e = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))));
    for (; halved > 0; halved--)
        e *= 2 - e; /* 1 - (1 - e)^2 */
    return e;
}

double qyi_meter_share(size_t bytes)
{
    return one_minus_exp((double)bytes / (double)qyi_meter_rate);
}

/* ---- random numbers ---- */

/* After Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static const double RANDOM_UNIT = 1. / ((uint64_t)1 << 53);

double qyi_meter_random(struct qyi_meter *meter)
{
    return (double)(next_random(&meter->random) >> 11) * RANDOM_UNIT;
}

/* Bytes until the next sample: at least 1, mean qyi_meter_rate. */
static uint64_t draw(struct qyi_meter *meter)
{
    const double u = (double)((next_random(&meter->random) >> 11) + 1) * RANDOM_UNIT; /* more than 0, up to 1 */
    return (uint64_t)(minus_log(u) * (double)qyi_meter_rate) + 1;
}

bool qyi_meter_pass(struct qyi_meter *meter, size_t bytes)
{
    if (QYI_UNLIKELY(meter->left == 0))
        meter->left = draw(meter);
    if (QYI_LIKELY(meter->left > bytes)) {
        meter->left -= bytes;
        return false;
    }
    meter->left = draw(meter);
    return true;
}

bool qyi_meter_pass_shared(size_t bytes)
{
    qyi_lock(&meters.lock);
    const bool sampled = qyi_meter_pass(&meters.shared, bytes);
    qyi_unlock(&meters.lock);
    return sampled;
}

/* ---- meters ---- */

static void seed_meter(struct qyi_meter *meter, uint32_t number)
{
    uint64_t state = meters.seed + number;
    meter->random = next_random(&state); /* or two meters would draw the same numbers, a little apart */
}

struct qyi_meter *qyi_meter_of(struct qyi_heap *heap)
{
    if (QYI_LIKELY(heap->meter != NULL))
        return heap->meter;
    struct qyi_meter *meter = qyi_meta_take(sizeof *meter);
    if (meter == NULL)
        return NULL;
    seed_meter(meter, heap->id);
    heap->meter = meter;
    return meter;
}

uint64_t qyi_meter_calls(struct qyi_heap *heap, size_t bytes)
{
    static const uint64_t ASK_AGAIN = 1 << 20;
    struct qyi_meter *meter = qyi_meter_of(heap);
    return meter != NULL ? (draw(meter) - 1) / bytes + 1 : ASK_AGAIN;
}

void qyi_meter_start(size_t rate, uint64_t seed)
{
    meters.seed = seed != 0 ? seed : qyi_os_random();
    seed_meter(&meters.shared, 0);
    qyi_meter_rate = rate;
}

void qyi_meter_after_fork(void)
{
    (void)qyi_lock_after_fork(&meters.lock);
}
