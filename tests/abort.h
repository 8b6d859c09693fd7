/*
 * For the misuse programs: one misuse each, announced on stdout so that run_abort.sh knows what to look for.
 *
 * A misuse need not be recognised at once: a pointer that goes into a magazine is examined when the magazine is flushed, at
 * the latest when the thread or the process ends. So a program announces, misuses, and returns from main.
 */
#ifndef BLACKBOX_ABORT_H
#define BLACKBOX_ABORT_H

#include "blackbox.h"

/* What these warn of is what the programs are for. */
#pragma GCC diagnostic ignored "-Wpragmas"
#if defined(__clang__)
#pragma GCC diagnostic ignored "-Wunknown-warning-option"
#endif
#pragma GCC diagnostic ignored "-Wuse-after-free"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"

/* Extended regular expressions, loose enough to leave the wording free. */
#define REASON_FOREIGN \
    "foreign|not (a|in|from|ours|part|allocated|quarry|our)|does not belong|outside|unknown|never allocated"
#define REASON_INTERIOR "interior|middle|inside|into a|not the (start|beginning)|not a block"
#define REASON_DOUBLE_FREE "double free|already free|freed twice|is free|was freed|been freed"
#define REASON_FREED "free"

static BB_UNUSED void announce(const void *pointer, const char *reason)
{
    bb_note("pointer 0x%jx reason %s", (uintmax_t)(uintptr_t)pointer, reason);
}

#endif
