/*
 * run.c: quarry run: a program with Quarry as its malloc, by the environment and nothing else.
 */
#include "command.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char LIBRARY[] = "libquarry.so.1";

/* What a program's exit status says by convention when it could not be started. */
enum { STATUS_CANNOT = 126, STATUS_ABSENT = 127 };

static void print_help(void)
{
    puts("usage: quarry run [options] [--] PROGRAM [ARGUMENT ...]\n\n"
         "Starts the program with Quarry as its malloc.\n\n"
         "  -s, --stats[=FORM[:FILE]]   report at exit: text, json or prom (QUARRY_STATS)\n"
         "  -p, --prof[=FILE]           write a heap profile at exit (QUARRY_PROF)\n"
         "  -o, --option=NAME[:VALUE]   an option, see quarry(7); may be repeated (QUARRY_OPTIONS)\n"
         "      --only=NAME             take effect in programs of this name only (QUARRY_ONLY)\n"
         "      --library=FILE          the library, instead of the one that belongs to this command\n"
         "  -n, --dry-run               print what would be run");
}

/* ---- the library ---- */

static bool is_there(char *path, const char *folder, const char *part)
{
    return (size_t)snprintf(path, PATH_MAX, "%s/%s%s", folder, part, LIBRARY) < PATH_MAX && access(path, R_OK) == 0;
}

/* In the build tree; where it is installed, also if all of it has been moved; last, whatever the loader finds. */
static const char *find_library(void)
{
    static const char *const beside[] = {"../../.libs/", "", "../lib/"};
    static char path[PATH_MAX];
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length > 0) {
        self[length] = '\0';
        const char *folder = dirname(self);
        for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
            if (is_there(path, folder, beside[i]))
                return path;
        }
    }
    return is_there(path, QUARRY_LIBDIR, "") ? path : LIBRARY;
}

/* ---- the environment ---- */

static bool dry_run;

static void set(const char *name, const char *value)
{
    if (dry_run)
        printf("%s=%s ", name, value);
    if (setenv(name, value, 1) != 0)
        fail("%s", strerror(errno));
}

/* before, or after, what the variable has already. */
static void add(const char *name, const char *separator, const char *value, bool in_front)
{
    const char *old = getenv(name);
    char *both = NULL;
    if (old == NULL || *old == '\0') {
        set(name, value);
        return;
    }
    if (asprintf(&both, "%s%s%s", in_front ? value : old, separator, in_front ? old : value) < 0)
        fail("%s", strerror(errno));
    set(name, both);
    free(both);
}

/* Statistics in a form that can be written to the terminal, too. */
static void set_stats(const char *value)
{
    static const char *const forms[] = {"text", "json", "prom", "1"};
    const size_t length = strcspn(value, ":");
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (strlen(forms[i]) == length && strncmp(value, forms[i], length) == 0) {
            set("QUARRY_STATS", value);
            return;
        }
    }
    fail_usage("run ", "--stats takes text, json or prom, perhaps with \":FILE\", not \"%s\"", value);
}

static void set_profile(const char *file)
{
    char *value = NULL;
    if (*file == '\0') {
        set("QUARRY_PROF", "1");
        return;
    }
    if (asprintf(&value, "1:%s", file) < 0)
        fail("%s", strerror(errno));
    set("QUARRY_PROF", value);
    free(value);
}

/* What the command line asks for. */
struct wishes {
    const char *stats, *profile, *only, *library; /* NULL: nothing said */
    char *options;
};

/* The option's value; "-s=x" means what "-sx" does. */
static const char *optional(const char *without)
{
    return optarg == NULL ? without : optarg + (*optarg == '=');
}

static void add_option(struct wishes *wishes, const char *option)
{
    char *both = NULL;
    if (option[0] == '\0')
        fail_usage("run ", "--option takes NAME:VALUE, or the NAME of a switch");
    if (asprintf(&both, "%s%s%s", wishes->options == NULL ? "" : wishes->options, wishes->options == NULL ? "" : ",",
                 option) < 0)
        fail("%s", strerror(errno));
    free(wishes->options);
    wishes->options = both;
}

static void apply(const struct wishes *wishes)
{
    if (wishes->stats != NULL)
        set_stats(wishes->stats);
    if (wishes->profile != NULL)
        set_profile(wishes->profile);
    if (wishes->only != NULL)
        set("QUARRY_ONLY", wishes->only);
    if (wishes->options != NULL)
        add("QUARRY_OPTIONS", ",", wishes->options, false);
    if (wishes->library != NULL && access(wishes->library, R_OK) != 0)
        fail("%s: %s", wishes->library, strerror(errno));
    /* the loader looks elsewhere for a name without a folder */
    char *here =
        wishes->library != NULL && strchr(wishes->library, '/') == NULL ? realpath(wishes->library, NULL) : NULL;
    add("LD_PRELOAD", ":", here != NULL ? here : wishes->library != NULL ? wishes->library : find_library(), true);
    free(here);
}

/* ---- the program ---- */

/* An ELF file that asks for no loader, which could preload something. */
static bool is_static(int fd)
{
    Elf64_Ehdr head;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_ident[EI_CLASS] != ELFCLASS64)
        return false;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        Elf64_Phdr part;
        const off_t at = (off_t)(head.e_phoff + (uint64_t)i * head.e_phentsize);
        if (pread(fd, &part, sizeof part, at) != sizeof part || part.p_type == PT_INTERP)
            return false;
    }
    return true;
}

/* The file that execvp would start; -1 if there is none. */
static int open_program(const char *name)
{
    if (strchr(name, '/') != NULL)
        return open(name, O_RDONLY | O_CLOEXEC);
    int fd = -1;
    const char *folder = getenv("PATH");
    while (folder != NULL && fd < 0) {
        char *path = NULL;
        const int length = (int)strcspn(folder, ":");
        if (asprintf(&path, "%.*s%s%s", length, folder, length != 0 ? "/" : "", name) < 0)
            return -1;
        if (access(path, X_OK) == 0)
            fd = open(path, O_RDONLY | O_CLOEXEC);
        free(path);
        folder = folder[length] == ':' ? folder + length + 1 : NULL;
    }
    return fd;
}

static void warn_if_static(const char *program)
{
    const int fd = open_program(program);
    if (fd >= 0 && is_static(fd))
        warn("%s is linked statically: Quarry cannot be preloaded into it", program);
    if (fd >= 0)
        close(fd);
}

int run_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"stats", optional_argument, NULL, 's'},   {"prof", optional_argument, NULL, 'p'},
        {"option", required_argument, NULL, 'o'},  {"only", required_argument, NULL, 'O'},
        {"library", required_argument, NULL, 'l'}, {"dry-run", no_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},          {0}};
    struct wishes wishes = {0};
    for (int option; (option = getopt_long(argc, argv, "+s::p::o:nh", options, NULL)) != -1;) {
        switch (option) {
        case 's': wishes.stats = optional("text"); break;
        case 'p': wishes.profile = optional(""); break;
        case 'o': add_option(&wishes, optarg); break;
        case 'O': wishes.only = optarg; break;
        case 'l': wishes.library = optarg; break;
        case 'n': dry_run = true; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        default: return STATUS_USAGE;
        }
    }
    if (optind == argc)
        fail_usage("run ", "run takes a program");
    apply(&wishes);
    if (dry_run) {
        for (int i = optind; i < argc; i++)
            printf("%s%c", argv[i], i + 1 == argc ? '\n' : ' ');
        return EXIT_SUCCESS;
    }
    warn_if_static(argv[optind]);
    execvp(argv[optind], argv + optind);
    const int error = errno;
    warn("%s: %s", argv[optind], strerror(error));
    return error == ENOENT ? STATUS_ABSENT : STATUS_CANNOT;
}
