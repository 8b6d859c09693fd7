/*
 * zeros.c: what is read and never written. Layer 2.
 *
 * A file of its own, linked last, so that it does not keep apart what every process writes: that would be another page of each.
 * Zeros that are not a file's cost no page themselves.
 */
#include "region.h"

QYI_LINE_ALIGNED char qyi_zeros[QYI_ZEROS_BYTES];
