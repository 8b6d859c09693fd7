/*
 * order.h: integers in big and little endian byte order, for builder.h and cursor.h.
 *
 * qy_bigN() and qy_littleN() turn a number of the machine into one whose bytes lie in memory in that order, and back.
 */
#ifndef QUARRY_ORDER_H
#define QUARRY_ORDER_H

#include <stdint.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline uint16_t qy_big16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t qy_big32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static inline uint64_t qy_big64(uint64_t value)
{
    return __builtin_bswap64(value);
}

static inline uint16_t qy_little16(uint16_t value)
{
    return value;
}

static inline uint32_t qy_little32(uint32_t value)
{
    return value;
}

static inline uint64_t qy_little64(uint64_t value)
{
    return value;
}
#else
static inline uint16_t qy_big16(uint16_t value)
{
    return value;
}

static inline uint32_t qy_big32(uint32_t value)
{
    return value;
}

static inline uint64_t qy_big64(uint64_t value)
{
    return value;
}

static inline uint16_t qy_little16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t qy_little32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static inline uint64_t qy_little64(uint64_t value)
{
    return __builtin_bswap64(value);
}
#endif

#endif
