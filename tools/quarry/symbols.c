/*
 * symbols.c: from addresses to functions, files and lines, with elfutils.
 *
 *     address -> offset in the file (mapping) -> virtual address in the file (program headers) -> symbol, line, inlined
 *
 * Each file is looked at by itself, where the file wants to be and not where the process had it: that a mapping's start
 * and offset are right is all that is asked of a profile. Names are from the symbol table or, better, from the debug
 * information, which may be in a file of its own (/usr/lib/debug). C++ names are made readable by libstdc++, if it is
 * there: it is opened when the first such name comes along.
 */
#include "symbols.h"

#ifndef HAVE_LIBDW

void symbols_resolve(struct profile *profile)
{
    static bool said;
    if (!said && profile->mapping_count != 0)
        fputs("quarry: built without elfutils: no symbols, only offsets in files\n", stderr);
    said = true;
}

#else

#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct file {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Elf *elf;
    GElf_Addr bias; /* of the symbol table's addresses */
};

/* ---- names ---- */

typedef char *demangle_function(const char *name, char *buffer, size_t *length, int *status);

static demangle_function *find_demangler(void)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1"};
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY);
        void *function = library == NULL ? NULL : dlsym(library, "__cxa_demangle");
        if (function != NULL)
            return (demangle_function *)function;
    }
    return NULL;
}

static const char *readable(struct store *store, const char *name)
{
    static demangle_function *demangle;
    static bool looked;
    if (strncmp(name, "_Z", 2) != 0)
        return store_text(store, name, strlen(name));
    if (!looked)
        demangle = find_demangler();
    looked = true;
    int status = -1;
    char *plain = demangle == NULL ? NULL : demangle(name, NULL, NULL, &status);
    const char *kept = plain != NULL && status == 0 ? plain : name;
    kept = store_text(store, kept, strlen(kept));
    free(plain);
    return kept;
}

/* ---- files ---- */

static char debug_path[] = ":.debug:/usr/lib/debug";
static char *debug_paths = debug_path;

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &debug_paths,
};

static void say_build_id(const char *path)
{
    fprintf(stderr, "quarry: %s: not the file that was profiled (its build-id differs): no symbols from it\n", path);
}

/* Hexadecimal, as profiles have it; case does not matter. */
static bool same_build_id(Dwfl_Module *module, const char *expected)
{
    const unsigned char *bits;
    GElf_Addr where;
    const int length = dwfl_module_build_id(module, &bits, &where);
    if (expected[0] == '\0')
        return true;
    if (length <= 0 || strlen(expected) != 2 * (size_t)length)
        return false;
    for (int i = 0; i < length; i++) {
        const char pair[3] = {expected[2 * i], expected[2 * i + 1], '\0'};
        char *end;
        if (strtoul(pair, &end, 16) != bits[i] || end != pair + 2)
            return false;
    }
    return true;
}

static bool open_file(struct file *file, const struct profile_mapping *mapping)
{
    struct stat status;
    *file = (struct file){0};
    /* the name is the profile's: no pipe that nobody writes to */
    if (stat(mapping->file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    file->dwfl = dwfl_begin(&callbacks);
    if (file->dwfl == NULL)
        return false;
    file->module = dwfl_report_offline(file->dwfl, mapping->file, mapping->file, -1);
    dwfl_report_end(file->dwfl, NULL, NULL);
    if (file->module == NULL)
        return false;
    file->elf = dwfl_module_getelf(file->module, &file->bias);
    if (file->elf == NULL)
        return false;
    if (same_build_id(file->module, mapping->build_id))
        return true;
    say_build_id(mapping->file);
    return false;
}

/* False: the offset is in no segment. */
static bool find_address(const struct file *file, uint64_t offset, GElf_Addr *address)
{
    size_t count;
    if (elf_getphdrnum(file->elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(file->elf, (int)i, &header) == NULL || header.p_type != PT_LOAD)
            continue;
        if (offset >= header.p_offset && offset - header.p_offset < header.p_filesz) {
            *address = header.p_vaddr + (offset - header.p_offset) + file->bias;
            return true;
        }
    }
    return false;
}

/* ---- lines ---- */

enum { INLINE_LIMIT = 64 };

static const char *name_of(Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
    return name != NULL ? name : dwarf_diename(die);
}

static const char *call_file(Dwarf_Die *unit, Dwarf_Die *die)
{
    Dwarf_Attribute attribute;
    Dwarf_Files *files;
    Dwarf_Word number;
    if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &number) != 0 ||
        dwarf_getsrcfiles(unit, &files, NULL) != 0)
        return NULL;
    return dwarf_filesrc(files, number, NULL, NULL);
}

/* The functions that were inlined at an address, innermost first, and last the one that they were inlined into. */
static uint32_t find_inlined(struct file *file, GElf_Addr address, struct profile_line *lines)
{
    Dwarf_Addr bias;
    Dwarf_Die *unit = dwfl_module_addrdie(file->module, address, &bias);
    Dwarf_Die *scopes = NULL, *chain = NULL;
    uint32_t count = 0;
    if (unit == NULL)
        return 0;
    int scope_count = dwarf_getscopes(unit, address - bias, &scopes);
    /* the innermost scope's own parents; dwarf_getscopes takes an inlined function's from where it was written */
    if (scope_count > 0)
        scope_count = dwarf_getscopes_die(&scopes[0], &chain);
    const char *source = lines[0].file;
    uint32_t line = lines[0].line;
    for (int i = 0; i < scope_count && count < INLINE_LIMIT; i++) {
        const int tag = dwarf_tag(&chain[i]);
        if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
            continue;
        const char *name = name_of(&chain[i]);
        lines[count++] = (struct profile_line){name == NULL ? "" : name, source, line};
        if (tag == DW_TAG_subprogram)
            break;
        Dwarf_Attribute attribute;
        Dwarf_Word called = 0;
        dwarf_formudata(dwarf_attr(&chain[i], DW_AT_call_line, &attribute), &called);
        const char *called_in = call_file(unit, &chain[i]);
        source = called_in == NULL ? "" : called_in;
        line = (uint32_t)called;
    }
    free(scopes);
    free(chain);
    return count;
}

static void resolve(struct profile *profile, struct file *file, struct profile_location *location)
{
    struct profile_line lines[INLINE_LIMIT] = {{"", "", 0}};
    GElf_Addr address;
    if (!find_address(file, profile_offset(location), &address))
        return;
    Dwfl_Line *line = dwfl_module_getsrc(file->module, address);
    int number = 0;
    const char *source = line == NULL ? NULL : dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
    if (source != NULL)
        lines[0] = (struct profile_line){"", source, (uint32_t)number};
    uint32_t count = find_inlined(file, address, lines);
    if (count == 0 || lines[count - 1].function[0] == '\0') {
        GElf_Sym symbol;
        GElf_Off offset;
        const char *name = dwfl_module_addrinfo(file->module, address, &offset, &symbol, NULL, NULL, NULL);
        if (name == NULL)
            return;
        if (count == 0)
            count = 1;
        lines[count - 1].function = name;
    }
    location->lines = store_array(&profile->store, count, sizeof *lines);
    location->line_count = count;
    for (uint32_t i = 0; i < count; i++)
        location->lines[i] =
            (struct profile_line){readable(&profile->store, lines[i].function),
                                  store_text(&profile->store, lines[i].file, strlen(lines[i].file)), lines[i].line};
}

static bool same_file(const struct profile_mapping *a, const struct profile_mapping *b)
{
    return strcmp(a->file, b->file) == 0 && strcmp(a->build_id, b->build_id) == 0;
}

void symbols_resolve(struct profile *profile)
{
    bool *done = store_array(&profile->store, profile->location_count, sizeof *done);
    for (size_t i = 0; i < profile->location_count; i++) {
        const struct profile_mapping *mapping = profile->locations[i].mapping;
        /* no pseudo file ("[vdso]"), no device */
        if (done[i] || mapping == NULL || mapping->file[0] != '/' || profile->locations[i].line_count != 0)
            continue;
        struct file file;
        const bool open = open_file(&file, mapping);
        for (size_t j = i; j < profile->location_count; j++) {
            struct profile_location *location = &profile->locations[j];
            if (location->mapping == NULL || !same_file(location->mapping, mapping))
                continue;
            done[j] = true;
            if (open && location->line_count == 0)
                resolve(profile, &file, location);
        }
        if (file.dwfl != NULL)
            dwfl_end(file.dwfl);
    }
}

#endif
