/*
 * core.c: memory of a process as a core file has it.
 *
 *     PT_LOAD segments   memory, as far as it was written
 *     PT_NOTE            NT_PRPSINFO and NT_AUXV: who it was; NT_FILE: which files were mapped where
 *
 * What was mapped from a file and never changed is not in the core, but in that file.
 */
#include "command.h"
#include "target.h"

#ifdef HAVE_LIBELF

#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

struct segment {
    uint64_t start, file_bytes, offset;
};

struct core {
    int fd;
    Elf *elf;
    struct segment *segments;
    size_t segment_count;
    uint64_t executed; /* where the name of the executed file is; 0: not known */
    /* the file that was read last */
    const char *file_path;
    int file_fd;
};

#if defined(__x86_64__)
enum { OUR_MACHINE = EM_X86_64 };
#else
enum { OUR_MACHINE = EM_AARCH64 };
#endif

/* ---- reading ---- */

static size_t read_at(int fd, void *copy, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        const ssize_t got = pread(fd, (char *)copy + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

static size_t read_segment(const struct core *core, void *copy, uint64_t address, size_t bytes)
{
    for (size_t i = 0; i < core->segment_count; i++) {
        const struct segment *segment = &core->segments[i];
        const uint64_t from = address - segment->start;
        if (from < segment->file_bytes)
            return read_at(core->fd, copy, qyi_min(bytes, segment->file_bytes - from), segment->offset + from);
    }
    return 0;
}

static size_t read_file(const struct target *target, void *copy, uint64_t address, size_t bytes)
{
    struct core *core = target->core;
    for (size_t i = 0; i < target->mapping_count; i++) {
        const struct mapping *mapping = &target->mappings[i];
        if (address < mapping->start || address >= mapping->end)
            continue;
        if (core->file_path == NULL || strcmp(core->file_path, mapping->path) != 0) {
            if (core->file_fd >= 0)
                close(core->file_fd);
            core->file_fd = open_regular(mapping->path);
            core->file_path = mapping->path;
        }
        return core->file_fd < 0 ? 0
                                 : read_at(core->file_fd, copy, qyi_min(bytes, mapping->end - address),
                                           mapping->offset + (address - mapping->start));
    }
    return 0;
}

static size_t core_read(struct target *target, void *copy, uint64_t address, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        size_t got = read_segment(target->core, (char *)copy + done, address + done, bytes - done);
        if (got == 0)
            got = read_file(target, (char *)copy + done, address + done,
                            qyi_min(bytes - done, 4096 - (address + done) % 4096));
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

/* ---- notes ---- */

static void read_who(struct target *target, const char *note, size_t bytes)
{
    struct elf_prpsinfo who;
    if (bytes < sizeof who)
        return;
    memcpy(&who, note, sizeof who);
    snprintf(target->program, sizeof target->program, "%.*s", (int)sizeof who.pr_fname, who.pr_fname);
    target->pid = who.pr_pid;
}

static void read_auxiliary(struct core *core, const char *note, size_t bytes)
{
    uint64_t entry[2];
    for (size_t at = 0; at + sizeof entry <= bytes; at += sizeof entry) {
        memcpy(entry, note + at, sizeof entry);
        if (entry[0] == AT_EXECFN)
            core->executed = entry[1];
    }
}

/* The number of files and the size of a page; start, end and offset in pages for each; the names. */
static void read_files(struct target *target, const char *note, size_t bytes)
{
    uint64_t head[2];
    if (bytes < sizeof head)
        return;
    memcpy(head, note, sizeof head);
    const uint64_t row_bytes = 3 * sizeof(uint64_t);
    if (head[0] > (bytes - sizeof head) / row_bytes)
        return;
    target->mappings = calloc(head[0] + 1, sizeof *target->mappings);
    if (target->mappings == NULL)
        fail("out of memory");
    const char *name = note + sizeof head + head[0] * row_bytes;
    for (uint64_t i = 0; i < head[0] && name < note + bytes; i++) {
        uint64_t row[3];
        memcpy(row, note + sizeof head + i * row_bytes, sizeof row);
        struct mapping *mapping = &target->mappings[target->mapping_count++];
        const size_t length = strnlen(name, (size_t)(note + bytes - name));
        *mapping =
            (struct mapping){.start = row[0], .end = row[1], .offset = row[2] * head[1], .path = strndup(name, length)};
        if (mapping->path == NULL)
            fail("out of memory");
        name += length + 1;
    }
}

static void read_notes(struct target *target, const GElf_Phdr *header)
{
    Elf_Data *data = elf_getdata_rawchunk(target->core->elf, (int64_t)header->p_offset, header->p_filesz,
                                          header->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    GElf_Nhdr note;
    size_t name_at;
    size_t note_at;
    size_t at = 0;
    while (data != NULL && (at = gelf_getnote(data, at, &note, &name_at, &note_at)) > 0) {
        const char *start = (const char *)data->d_buf + note_at;
        if (note.n_type == NT_PRPSINFO)
            read_who(target, start, note.n_descsz);
        else if (note.n_type == NT_AUXV)
            read_auxiliary(target->core, start, note.n_descsz);
        else if (note.n_type == NT_FILE && target->mappings == NULL)
            read_files(target, start, note.n_descsz);
    }
}

/*
 * The file that was executed, as the kernel told the program: what gdb notes as the name is made from a command line, which may have
 * been written over.
 */
static void name_program(struct target *target)
{
    char path[PATH_MAX];
    const size_t got =
        target->core->executed == 0 ? 0 : core_read(target, path, target->core->executed, sizeof path - 1);
    path[got] = '\0';
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (*name != '\0')
        snprintf(target->program, sizeof target->program, "%.*s", (int)sizeof target->program - 1, name);
}

/* ---- opening ---- */

static _Noreturn void fail_kind(const char *path, const struct stat *status, const char *what)
{
    if (status->st_size == 0)
        fail("%s is not a core file: it is empty", path);
    fail("%s is not a core file: %s", path, what);
}

static void check_kind(const char *path, const struct stat *status, Elf *elf)
{
    GElf_Ehdr header;
    if (elf == NULL || elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &header) == NULL)
        fail_kind(path, status, "nor any other ELF file");
    if (header.e_type != ET_CORE)
        fail_kind(path, status, "it is a program or library");
    if (header.e_phoff + (uint64_t)header.e_phnum * header.e_phentsize > (uint64_t)status->st_size)
        fail("%s is truncated: the list of its segments is not whole", path);
    if (gelf_getclass(elf) != ELFCLASS64 || header.e_machine != OUR_MACHINE)
        fail("%s is a core file of another kind of machine", path);
}

static void read_segments(struct target *target, const char *path, uint64_t file_bytes)
{
    struct core *core = target->core;
    size_t count = 0;
    uint64_t needed = 0;
    if (elf_getphdrnum(core->elf, &count) != 0)
        count = 0;
    core->segments = calloc(count + 1, sizeof *core->segments);
    if (core->segments == NULL)
        fail("out of memory");
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(core->elf, (int)i, &header) == NULL)
            fail("%s is truncated: the list of its segments is not whole", path);
        if (header.p_filesz != 0)
            needed = qyi_max(needed, header.p_offset + header.p_filesz);
        if (header.p_type == PT_LOAD && header.p_filesz != 0)
            core->segments[core->segment_count++] =
                (struct segment){.start = header.p_vaddr, .file_bytes = header.p_filesz, .offset = header.p_offset};
        else if (header.p_type == PT_NOTE && header.p_offset + header.p_filesz <= file_bytes)
            read_notes(target, &header);
    }
    if (needed > file_bytes)
        fail("%s is truncated: %lu of its %lu bytes are there", path, (unsigned long)file_bytes, (unsigned long)needed);
    if (core->segment_count == 0)
        fail("%s has no memory in it", path);
    if (target->mapping_count == 0)
        fail("%s does not say which files were mapped (it has no NT_FILE note), so Quarry cannot be found in it", path);
}

struct target *core_open(const char *path)
{
    struct target *target = calloc(1, sizeof *target);
    struct core *core = calloc(1, sizeof *core);
    if (target == NULL || core == NULL)
        fail("out of memory");
    struct stat status;
    core->file_fd = -1;
    core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (core->fd < 0 && errno == ENOENT)
        fail("there is no process and no file \"%s\"", path);
    if (core->fd < 0 || fstat(core->fd, &status) != 0)
        fail("%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        fail("%s is not a core file: it is no regular file", path);
    elf_version(EV_CURRENT);
    core->elf = elf_begin(core->fd, ELF_C_READ_MMAP, NULL);
    check_kind(path, &status, core->elf);
    target->core = core;
    target->is_core = true;
    target->read = core_read;
    target->written_ms = (uint64_t)status.st_mtim.tv_sec * 1000 + (uint64_t)status.st_mtim.tv_nsec / 1000000;
    read_segments(target, path, (uint64_t)status.st_size);
    name_program(target);
    char *name;
    if (asprintf(&name, "core file %s (%s)", path, target->program) < 0)
        fail("out of memory");
    target_set_name(target, name);
    return target;
}

#else

struct target *core_open(const char *path)
{
    fail(
        "\"%s\" is no process, and core files cannot be read: this command was built without libelf (Debian: libelf-dev)",
        path);
}

#endif
