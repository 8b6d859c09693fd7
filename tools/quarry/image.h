/*
 * image.h: the tables of another process's Quarry, in the place of our own.
 */
#ifndef QUARRY_IMAGE_H
#define QUARRY_IMAGE_H

#include "target.h"

/*
 * After this, qyi_stats_collect and its like tell of the target. Ends with a message if that cannot be; may start this command once
 * more (with another layout of its own memory), so call it before anything is printed.
 */
void image_open(struct target *target);

/*
 * Call look(context) with fresh tables, and again if the target has changed them so much meanwhile that no sense can be made of them.
 * Ends with a message if that does not help, or the process has gone.
 */
void image_look(struct target *target, void (*look)(void *context), void *context);

#endif
