/*
 * numbers.c: taking the numbers of a target: what the library itself calls, on the image of its tables.
 */
#include "numbers.h"

#include "command.h"
#include "image.h"
#include "map.h"
#include "os.h"

#include <stdlib.h>
#include <string.h>

struct look {
    struct target *target;
    struct numbers *numbers;
    unsigned wanted;
};

static void take_threads(struct numbers *numbers)
{
    const uint32_t heaps = numbers->stats.heaps;
    free(numbers->threads);
    numbers->threads = calloc(heaps + 1, sizeof *numbers->threads);
    if (numbers->threads == NULL)
        fail("out of memory");
    numbers->thread_count = (uint32_t)qyi_min(heaps, qyi_stats_threads(numbers->threads, 1, heaps));
}

static void take_map(struct numbers *numbers)
{
    numbers->frame_count = qyi_map_frame_count();
    free(numbers->map);
    numbers->map = malloc((size_t)numbers->frame_count * QYI_FRAME_GRANULES + 1);
    if (numbers->map == NULL)
        fail("out of memory");
    for (uint32_t frame = 0; frame < numbers->frame_count; frame++)
        qyi_map_frame(frame, numbers->map + (size_t)frame * QYI_FRAME_GRANULES);
}

/* A core file does not say when it was; the last point of the history comes near. */
static void date_core(struct numbers *numbers)
{
    const uint64_t up_ms = numbers->history_count == 0 ? 0 : numbers->history[numbers->history_count - 1].time_ms;
    numbers->stats.started_ms = numbers->taken_ms - qyi_min(numbers->taken_ms, up_ms);
}

void numbers_collect(struct target *target, struct numbers *numbers, unsigned wanted)
{
    numbers->taken_ms = qyi_os_now_ms();
    qyi_stats_collect(&numbers->stats);
    numbers->history_count = qyi_history_read(numbers->history);
    if ((wanted & WITH_THREADS) != 0)
        take_threads(numbers);
    if ((wanted & WITH_MAP) != 0)
        take_map(numbers);
    if (target->is_core) {
        date_core(numbers);
    } else {
        process_read_mappings(target);
        process_measure(target, &numbers->stats, qyi_region.base, qyi_region.bytes);
    }
}

static void collect(void *context)
{
    const struct look *look = context;
    numbers_collect(look->target, look->numbers, look->wanted);
}

void numbers_take(struct target *target, struct numbers *numbers, unsigned wanted)
{
    struct look look = {.target = target, .numbers = numbers, .wanted = wanted};
    image_look(target, collect, &look);
}
