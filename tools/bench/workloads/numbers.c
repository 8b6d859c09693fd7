/*
 * Number theory with tiny blocks: Pell's equation x^2 - n y^2 = 1 is solved for many n by the continued fraction of the
 * square root of n. Every intermediate number is a block of its own, most of 16 to 48 bytes, that dies a step later;
 * the solutions are kept until the end.
 */
#include "workload.h"

#include <string.h>

/* A natural number in base 2^32, lowest limb first, without leading zeros. Never changed once it is made. */
struct number {
    uint32_t limb_count;
    uint32_t limb[];
};

static struct number *number_new(size_t limb_count)
{
    struct number *number = take(sizeof *number + (limb_count ? limb_count : 1) * sizeof number->limb[0]);
    number->limb_count = (uint32_t)limb_count;
    return number;
}

static struct number *number_trim(struct number *number)
{
    while (number->limb_count > 0 && number->limb[number->limb_count - 1] == 0)
        number->limb_count--;
    return number;
}

static struct number *number_from(uint32_t value)
{
    struct number *number = number_new(1);
    number->limb[0] = value;
    return number_trim(number);
}

static struct number *number_add(const struct number *a, const struct number *b)
{
    if (a->limb_count < b->limb_count)
        return number_add(b, a);
    struct number *sum = number_new(a->limb_count + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < a->limb_count; i++) {
        carry += (uint64_t)a->limb[i] + (i < b->limb_count ? b->limb[i] : 0);
        sum->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    sum->limb[a->limb_count] = (uint32_t)carry;
    return number_trim(sum);
}

static struct number *number_scale(const struct number *a, uint32_t factor)
{
    struct number *product = number_new(a->limb_count + 1);
    uint64_t carry = 0;
    for (size_t i = 0; i < a->limb_count; i++) {
        carry += (uint64_t)a->limb[i] * factor;
        product->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    product->limb[a->limb_count] = (uint32_t)carry;
    return number_trim(product);
}

static struct number *number_multiply(const struct number *a, const struct number *b)
{
    struct number *product = number_new(a->limb_count + b->limb_count);
    memset(product->limb, 0, (a->limb_count + b->limb_count) * sizeof product->limb[0]);
    for (size_t i = 0; i < a->limb_count; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < b->limb_count; j++) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + product->limb[i + j];
            product->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        product->limb[i + b->limb_count] = (uint32_t)carry;
    }
    return number_trim(product);
}

static bool number_equal(const struct number *a, const struct number *b)
{
    return a->limb_count == b->limb_count && memcmp(a->limb, b->limb, a->limb_count * sizeof a->limb[0]) == 0;
}

/* factor * a + b; consumes b, the older of two convergents. */
static struct number *number_advance(uint32_t factor, const struct number *a, struct number *b)
{
    struct number *product = number_scale(a, factor);
    struct number *sum = number_add(product, b);
    free(product);
    free(b);
    return sum;
}

/* Whether x^2 = n y^2 + 1. */
static bool is_solution(const struct number *x, const struct number *y, uint32_t n)
{
    struct number *one = number_from(1);
    struct number *x_square = number_multiply(x, x);
    struct number *y_square = number_multiply(y, y);
    struct number *product = number_scale(y_square, n);
    struct number *sum = number_add(product, one);
    bool equal = number_equal(x_square, sum);
    free(one);
    free(x_square);
    free(y_square);
    free(product);
    free(sum);
    return equal;
}

static uint32_t integer_root(uint32_t n)
{
    uint32_t root = 0;
    while ((uint64_t)(root + 1) * (root + 1) <= n)
        root++;
    return root;
}

/* The smallest x, y > 0 with x^2 - n y^2 = 1, for n that is not a square. */
static void solve(uint32_t n, uint32_t root, struct number **x, struct number **y)
{
    struct number *x_old = number_from(1), *x_new = number_from(root);
    struct number *y_old = number_from(0), *y_new = number_from(1);
    uint32_t m = 0, d = 1, a = root;

    for (;;) {
        m = d * a - m;
        d = (n - m * m) / d;
        if (d == 1 && is_solution(x_new, y_new, n)) /* here x^2 - n y^2 is 1 or -1 */
            break;
        a = (root + m) / d;
        struct number *x_next = number_advance(a, x_new, x_old);
        struct number *y_next = number_advance(a, y_new, y_old);
        x_old = x_new;
        y_old = y_new;
        x_new = x_next;
        y_new = y_next;
    }
    free(x_old);
    free(y_old);
    *x = x_new;
    *y = y_new;
}

static double run_numbers(double scale)
{
    uint32_t limit = (uint32_t)shrunk(9000, scale) + 10;
    struct number **solutions = calloc(2 * limit, sizeof(struct number *));
    check(solutions != NULL, "calloc returned NULL");

    double start = now_seconds();
    for (size_t round = scaled(50, scale > 1 ? scale : 1); round > 0; round--) {
        for (uint32_t n = 2; n < limit; n++) {
            uint32_t root = integer_root(n);
            if (root * root == n)
                continue;
            free(solutions[2 * n]);
            free(solutions[2 * n + 1]);
            solve(n, root, &solutions[2 * n], &solutions[2 * n + 1]);
        }
    }
    for (size_t i = 0; i < 2 * limit; i++)
        free(solutions[i]);
    double seconds = now_seconds() - start;

    free(solutions);
    return seconds;
}

const struct workload number_workloads[] = {
    {"numbers", "Pell's equation with big integers in tiny blocks", run_numbers},
    {0},
};
