/*
 * modules.c: the program and its libraries, as they lie in memory. Layer 6.
 *
 * What the loader says is copied: the names are its own, and may go when a library is unloaded.
 */
#include "modules.h"

#include "os.h"

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static void copy_name(struct qyi_module *module, const char *name, uintptr_t base)
{
    if (name == NULL || *name == '\0') { /* the program */
        const ssize_t length = readlink("/proc/self/exe", module->name, sizeof module->name - 1);
        if (length > 0) {
            module->name[length] = '\0';
            return;
        }
        name = program_invocation_name;
    }
    if (base == getauxval(AT_SYSINFO_EHDR))
        name = "[vdso]";
    const size_t length = qyi_min(strlen(name), sizeof module->name - 1);
    memcpy(module->name, name, length);
    module->name[length] = '\0';
}

/* The notes are in memory, since they are part of a segment that is loaded. */
static void copy_build_id(struct qyi_module *module, const char *notes, size_t bytes)
{
    size_t at = 0;
    while (at + sizeof(ElfW(Nhdr)) <= bytes) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        const size_t name = at + sizeof note;
        const size_t text = name + qyi_align_up(note.n_namesz, 4);
        const size_t next = text + qyi_align_up(note.n_descsz, 4);
        if (next > bytes)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            module->build_id_length = (unsigned)qyi_min(note.n_descsz, QYI_BUILD_ID);
            memcpy(module->build_id, notes + text, module->build_id_length);
            return;
        }
        at = next;
    }
}

static void add_segment(struct qyi_modules *modules, const struct dl_phdr_info *info, const ElfW(Phdr) * segment)
{
    struct qyi_module *module = &modules->module[modules->count];
    const size_t before = segment->p_vaddr % qyi_os_page_bytes; /* of the page it begins in */
    memset(module, 0, sizeof *module);
    module->base = info->dlpi_addr;
    module->start = info->dlpi_addr + segment->p_vaddr - before;
    module->end = qyi_align_up(info->dlpi_addr + segment->p_vaddr + segment->p_memsz, qyi_os_page_bytes);
    module->offset = segment->p_offset - before;
    copy_name(module, info->dlpi_name, info->dlpi_addr);
    for (unsigned i = 0; i < info->dlpi_phnum && module->build_id_length == 0; i++) {
        const ElfW(Phdr) *notes = &info->dlpi_phdr[i];
        if (notes->p_type == PT_NOTE)
            copy_build_id(module,
                          (const char *)(info->dlpi_addr + notes->p_vaddr), /* NOLINT(performance-no-int-to-ptr) */
                          notes->p_memsz);
    }
    modules->count++;
}

static int visit(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct qyi_modules *modules = argument;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0 && modules->count < QYI_MODULES_MAX)
            add_segment(modules, info, segment);
    }
    return 0;
}

void qyi_modules_list(struct qyi_modules *modules)
{
    const int saved_errno = errno;
    modules->count = 0;
    dl_iterate_phdr(visit, modules);
    errno = saved_errno;
}

unsigned qyi_modules_find(const struct qyi_modules *modules, uintptr_t address)
{
    for (unsigned i = 0; i < modules->count; i++) {
        if (address - modules->module[i].start < modules->module[i].end - modules->module[i].start)
            return i;
    }
    return modules->count;
}
