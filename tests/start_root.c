/*
 * The root structure is there before any constructor, is found by its name, and leads to the memory that malloc hands out. What
 * this program knows of Quarry is the layout of the structure.
 */
#include "blackbox.h"

#include "region.h"
#include "root.h"

#include <dlfcn.h>

static struct qyi_root early;

static void before_constructors(void)
{
    const struct qyi_root *root = dlsym(RTLD_DEFAULT, "qy_root");
    if (root != NULL)
        early = *root;
}

__attribute__((section(".preinit_array"), used)) static void (*const before[])(void) = {before_constructors};

static bool leads_to(const struct qyi_root *root, const void *block)
{
    const struct qyi_region *region = root->part[QYI_ROOT_REGION]->start;
    return (uintptr_t)block - region->base < region->bytes;
}

int main(void)
{
    const struct qyi_root *root = dlsym(RTLD_DEFAULT, "qy_root");
    CHECK(root != NULL);
    CHECK(memcmp(root->magic, QYI_ROOT_MAGIC, sizeof root->magic) == 0 && root->version == QYI_ROOT_VERSION);
    CHECK(root->root_bytes == sizeof *root && root->part_count == QYI_ROOT_PART_COUNT);
    CHECK(memcmp(root, &early, sizeof early) == 0, "it has changed since the start");
    CHECK(root->region_bytes == sizeof(struct qyi_region) && root->granule_shift == QYI_GRANULE_SHIFT);
    for (unsigned i = 0; i < QYI_ROOT_PART_COUNT; i++)
        CHECK(root->part[i] != NULL && root->part[i]->start != NULL && root->part[i]->bytes != 0);
    CHECK(leads_to(root, bb_hide(malloc(100))) && leads_to(root, bb_hide(malloc(1000000))));
    int on_stack;
    CHECK(!leads_to(root, &on_stack));
    return 0;
}
