/*
 * module.c: a symbol's address, by the file that it was loaded from. libelf reads both of its symbol tables: a shared library is found by
 * the dynamic one, a program that libquarry.a is part of by the other.
 */
#include "target.h"

#include <string.h>

#ifdef HAVE_LIBELF

#include <gelf.h>

/* What is added to the file's addresses: its byte `offset` lies at start. */
static bool load_bias(Elf *elf, uint64_t start, uint64_t offset, uint64_t *bias)
{
    size_t count = 0;
    if (elf_getphdrnum(elf, &count) != 0)
        return false;
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr header;
        if (gelf_getphdr(elf, (int)i, &header) == NULL || header.p_type != PT_LOAD)
            continue;
        const uint64_t page = 4096;
        const uint64_t first = header.p_offset & ~(page - 1);
        if (offset >= first && offset < header.p_offset + header.p_filesz) {
            *bias = start - (header.p_vaddr - header.p_offset + offset);
            return true;
        }
    }
    return false;
}

static uint64_t value_in_table(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, const char *symbol)
{
    Elf_Data *data = elf_getdata(section, NULL);
    if (data == NULL || header->sh_entsize == 0)
        return 0;
    for (size_t i = 0; i < header->sh_size / header->sh_entsize; i++) {
        GElf_Sym entry;
        if (gelf_getsym(data, (int)i, &entry) == NULL)
            break;
        const char *name = elf_strptr(elf, header->sh_link, entry.st_name);
        if (name != NULL && entry.st_shndx != SHN_UNDEF && strcmp(name, symbol) == 0)
            return entry.st_value;
    }
    return 0;
}

uint64_t module_symbol(int fd, const char *symbol, uint64_t start, uint64_t offset)
{
    elf_version(EV_CURRENT);
    Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
    if (elf == NULL)
        return 0;
    uint64_t value = 0;
    uint64_t bias = 0;
    if (elf_kind(elf) == ELF_K_ELF && load_bias(elf, start, offset, &bias)) {
        Elf_Scn *section = NULL;
        while (value == 0 && (section = elf_nextscn(elf, section)) != NULL) {
            GElf_Shdr header;
            if (gelf_getshdr(section, &header) != NULL &&
                (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB))
                value = value_in_table(elf, section, &header, symbol);
        }
    }
    elf_end(elf);
    return value == 0 ? 0 : value + bias;
}

#else

uint64_t module_symbol(int fd, const char *symbol, uint64_t start, uint64_t offset)
{
    (void)fd, (void)symbol, (void)start, (void)offset;
    return 0; /* the magic in memory will have to do */
}

#endif
