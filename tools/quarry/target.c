/*
 * target.c: finding Quarry in a process or a core file.
 *
 *     files that are mapped: libquarry.so*, the program itself, all others
 *         -> qy_root by its symbol (module.c), or else by its magic, in the file's memory
 *         -> the magic there is right: this is it
 */
#include "target.h"

#include "command.h"
#include "root.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct target *target_open(const char *argument)
{
    uint64_t pid;
    if (parse_number(argument, INT32_MAX, &pid))
        return process_open((pid_t)pid);
    return core_open(argument);
}

struct target *target_open_process(const char *command, const char *argument)
{
    uint64_t pid;
    if (!parse_number(argument, INT32_MAX, &pid))
        fail("%s needs the number of a process, and \"%s\" is none", command, argument);
    return process_open((pid_t)pid);
}

void target_set_name(struct target *target, char *name)
{
    for (char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = '?';
    }
    target->name = name;
}

bool target_read(struct target *target, void *copy, uint64_t address, size_t bytes)
{
    return target->read(target, copy, address, bytes) == bytes;
}

/* ---- finding the root ---- */

static bool is_root(struct target *target, uint64_t address)
{
    char magic[QYI_ROOT_MAGIC_BYTES];
    return address != 0 && target_read(target, magic, address, sizeof magic) &&
           memcmp(magic, QYI_ROOT_MAGIC, sizeof magic) == 0;
}

static uint64_t root_by_symbol(struct target *target, const struct mapping *mapping)
{
    const int fd = process_open_file(target, mapping);
    if (fd < 0)
        return 0;
    const uint64_t address = module_symbol(fd, "qy_root", mapping->start, mapping->offset);
    close(fd);
    return is_root(target, address) ? address : 0;
}

/*
 * The bytes look like a root. A page of the file that two segments share is mapped twice, and only one of them has been relocated: the
 * other's pointers lead nowhere.
 */
static bool seems_root(struct target *target, const char *bytes)
{
    struct qyi_root root;
    struct qyi_extent extent;
    memcpy(&root, bytes, sizeof root);
    if (memcmp(root.magic, QYI_ROOT_MAGIC, sizeof root.magic) != 0)
        return false;
    if (root.version != QYI_ROOT_VERSION) /* it will be told of */
        return root.version != 0 && root.version < 1000;
    return target_read(target, &extent, (uint64_t)root.part[0], sizeof extent);
}

/* In the data of a file. */
static uint64_t root_by_magic(struct target *target, const char *path)
{
    uint64_t found = 0;
    enum { PART_BYTES = 64 << 10, STEP_BYTES = PART_BYTES - 512 }; /* parts overlap, for what lies across */
    static_assert(sizeof(struct qyi_root) <= PART_BYTES - STEP_BYTES, "a root is in one of them as a whole");
    char *part = malloc(PART_BYTES);
    for (size_t i = 0; i < target->mapping_count && found == 0 && part != NULL; i++) {
        const struct mapping *mapping = &target->mappings[i];
        if (mapping->path == NULL || strcmp(mapping->path, path) != 0)
            continue;
        for (uint64_t at = mapping->start; at < mapping->end && found == 0; at += STEP_BYTES) {
            const uint64_t rest = mapping->end - at;
            const size_t got = target->read(target, part, at, rest < PART_BYTES ? rest : PART_BYTES);
            if (got == 0) /* a core file may claim any length */
                break;
            for (size_t k = 0; k + sizeof(struct qyi_root) <= got && found == 0; k += 8) {
                if (seems_root(target, part + k))
                    found = at + k;
            }
        }
    }
    free(part);
    return found;
}

static bool is_library(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(slash == NULL ? path : slash + 1, "libquarry.so", 12) == 0;
}

uint64_t target_find_root(struct target *target)
{
    enum { LIBRARY, PROGRAM, OTHERS, ROUNDS };
    const char *program = NULL; /* the lowest file that is mapped, or nearly always */
    for (unsigned round = 0; round < ROUNDS; round++) {
        const char *last = NULL; /* a file's first mapping stands for it */
        for (size_t i = 0; i < target->mapping_count; i++) {
            const struct mapping *mapping = &target->mappings[i];
            if (mapping->path == NULL || (last != NULL && strcmp(last, mapping->path) == 0))
                continue;
            last = mapping->path;
            if (program == NULL)
                program = mapping->path;
            const bool library = is_library(mapping->path);
            if (round != (library ? LIBRARY : strcmp(mapping->path, program) == 0 ? PROGRAM : OTHERS))
                continue;
            uint64_t address = root_by_symbol(target, mapping);
            if (address == 0 && round != OTHERS)
                address = root_by_magic(target, mapping->path);
            if (address != 0)
                return address;
            if (round == LIBRARY)
                fail("%s has %s, but no qy_root can be found in it: another version of Quarry, or its file has changed",
                     target->name, mapping->path);
        }
    }
    target_check_alive(target);
    fail("%s runs without Quarry", target->name);
}
