/*
 * memory-reference: buffers whose references are not all released. doc/finding-memory.md looks for them.
 *
 * Messages are cut out of what was received and shared with a journal. A message that nobody wants is let go of, but not its
 * share of the journal's.
 */
#include "quarry/slice.h"

#include <stdio.h>
#include <string.h>

#define FUNCTION __attribute__((noinline, noclone)) /* of a name that can be looked up */

enum { MESSAGES = 1000, JOURNAL = 64, BUFFER_BYTES = 4096, MESSAGE_BYTES = 100 };

static qy_slice journal[JOURNAL];

static FUNCTION qy_slice receive_message(unsigned number)
{
    qy_slice buffer = qy_slice_new(BUFFER_BYTES);
    if (buffer.iov_len != 0)
        snprintf(buffer.iov_base, MESSAGE_BYTES, "message %u", number);
    return buffer;
}

static FUNCTION void write_journal(qy_slice message, unsigned number)
{
    qy_slice *entry = &journal[number % JOURNAL];
    qy_slice_drop(entry);
    *entry = qy_slice_sub(message, 0, MESSAGE_BYTES);
}

/* Every hundredth is acknowledged twice; the second time nobody keeps what it returns. */
static FUNCTION qy_slice acknowledge(qy_slice message)
{
    const qy_slice kept = qy_slice_clone(message);
    __asm__ volatile("" ::: "memory"); /* the call stays one, and has a place in this function */
    return kept;
}

int main(void)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        qy_slice message = receive_message(i);
        write_journal(message, i);
        qy_slice kept = acknowledge(message);
        if (i % 100 == 0)
            (void)acknowledge(message);
        qy_slice_drop(&kept);
        qy_slice_drop(&message);
    }
    for (unsigned i = 0; i < JOURNAL; i++)
        qy_slice_drop(&journal[i]);
    puts("done");
    fflush(stdout);
    return 0;
}
