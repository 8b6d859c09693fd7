/*
 * modules.h: the program and its libraries, as they lie in memory. Layer 6.
 */
#ifndef QYI_MODULES_H
#define QYI_MODULES_H

#include "base.h"

enum { QYI_MODULES_MAX = 512, QYI_MODULE_NAME = 256, QYI_BUILD_ID = 32 };

/* An executable segment of one. */
struct qyi_module {
    uintptr_t start, end;
    uint64_t offset; /* of start in the file */
    uintptr_t base;  /* what is added to the file's own addresses */
    char name[QYI_MODULE_NAME];
    unsigned build_id_length;
    unsigned char build_id[QYI_BUILD_ID];
};

struct qyi_modules {
    unsigned count;
    struct qyi_module module[QYI_MODULES_MAX];
};

/* What is loaded now. Takes the loader's lock; the caller holds no lock of the allocator's. */
void qyi_modules_list(struct qyi_modules *modules);

/* The number of the module with this address; count if there is none. */
unsigned qyi_modules_find(const struct qyi_modules *modules, uintptr_t address);

#endif
