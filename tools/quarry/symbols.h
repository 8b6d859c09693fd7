/*
 * symbols.h: from addresses to functions, files and lines, by what the profile says about its mappings.
 */
#ifndef TOOL_SYMBOLS_H
#define TOOL_SYMBOLS_H

#include "profile_data.h"

/*
 * Gives lines to the locations that have none, where the file is still there and has the build-id that was recorded.
 * A file that has changed is said once on standard error; all else that is missing shows as module and offset.
 */
void symbols_resolve(struct profile *profile);

#endif
