/*
 * cgroup.h: how near a process is to the memory limit of its control group. Layer 6.
 */
#ifndef QYI_CGROUP_H
#define QYI_CGROUP_H

#include "base.h"

/*
 * The share in per cent that is used of the tightest limit among the group's own and those above it; 0 if there is none, or it cannot
 * be read. membership: /proc/self/cgroup, or a file like it; mount: where the second version's hierarchy is. Takes 4 KiB of stack.
 */
unsigned qyi_cgroup_percent(const char *membership, const char *mount);

#endif
