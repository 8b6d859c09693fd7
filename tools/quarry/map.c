/*
 * map.c: quarry map: the heap as a picture, and how often each character is in it.
 */
#include "command.h"
#include "image.h"
#include "numbers.h"
#include "target.h"

#include "base.h"
#include "text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct kind {
    char first, last; /* the characters */
    const char *meaning;
    const char *colour; /* of a terminal: SGR parameters */
} kinds[] = {
    {'8', '9', "slabs, nearly full", "32"},          {'4', '7', "slabs, half full", "33"},
    {'0', '3', "slabs, nearly empty", "31"},         {'L', 'L', "large blocks", "34"},
    {'P', 'P', "buffers of pools and arenas", "35"}, {'~', '~', "free, resident until purged", "36"},
    {'.', '.', "free, not resident", "2"},           {' ', ' ', "cannot be told", "0"},
};

enum { KIND_COUNT = sizeof kinds / sizeof kinds[0], ADDRESS_COLUMN = 16 };

static unsigned kind_of(char character)
{
    unsigned kind = 0;
    while (kind < KIND_COUNT - 1 && (character < kinds[kind].first || character > kinds[kind].last))
        kind++;
    return kind;
}

static void put_frame(const char *characters, bool colour)
{
    unsigned now = KIND_COUNT;
    for (unsigned i = 0; i < QYI_FRAME_GRANULES; i++) {
        const unsigned kind = kind_of(characters[i]);
        if (colour && kind != now)
            printf("\033[0;%sm", kinds[kind].colour);
        putchar(characters[i]);
        now = kind;
    }
    if (colour)
        fputs("\033[0m", stdout);
}

static void put_legend(const struct numbers *numbers, bool colour)
{
    size_t count[KIND_COUNT] = {0};
    const size_t whole = (size_t)numbers->frame_count * QYI_FRAME_GRANULES;
    for (size_t i = 0; i < whole; i++)
        count[kind_of(numbers->map[i])]++;
    printf("\n       granules      bytes   share\n");
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        if (count[kind] == 0)
            continue;
        char name[4] = {kinds[kind].first, 0};
        if (kinds[kind].last != kinds[kind].first)
            snprintf(name, sizeof name, "%c-%c", kinds[kind].first, kinds[kind].last);
        printf(colour ? "  \033[0;%sm%-3s\033[0m" : "  %.0s%-3s", kinds[kind].colour,
               kinds[kind].first == ' ' ? "' '" : name);
        printf("%10zu %10s %7s  %s\n", count[kind], qyi_bytes_word(count[kind] << QYI_GRANULE_SHIFT).text,
               qyi_share_word(count[kind], whole).text, kinds[kind].meaning);
    }
    printf("  =  %10zu %10s %7s  %u frames of 2 MiB\n", whole, qyi_bytes_word(whole << QYI_GRANULE_SHIFT).text, "",
           numbers->frame_count);
}

/* Frames side by side: as many as the terminal has room for, or one. */
static unsigned frames_per_line(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < ADDRESS_COLUMN)
        return 1;
    return (unsigned)qyi_max(1, (size.ws_col - ADDRESS_COLUMN) / (QYI_FRAME_GRANULES + 1u));
}

static void put_map(const struct numbers *numbers, bool colour)
{
    const unsigned per_line = frames_per_line();
    for (uint32_t frame = 0; frame < numbers->frame_count; frame++) {
        if (frame % per_line == 0)
            printf("%*lx", ADDRESS_COLUMN - 2,
                   (unsigned long)qyi_granule_address(qyi_region.first + frame * QYI_FRAME_GRANULES));
        fputs(frame % per_line == 0 ? "  " : " ", stdout);
        put_frame(numbers->map + (size_t)frame * QYI_FRAME_GRANULES, colour);
        if ((frame + 1) % per_line == 0 || frame + 1 == numbers->frame_count)
            putchar('\n');
    }
}

static void print_help(void)
{
    puts("usage: quarry map [--color=auto|always|never] PID|CORE\n\n"
         "Shows the heap of a process or a core file: a character for each 32 KiB, a frame of 2 MiB per line.\n"
         "A digit is a slab with so many tenths of its blocks in use.");
}

static bool wants_colour(const char *when)
{
    if (strcmp(when, "always") == 0)
        return true;
    if (strcmp(when, "never") == 0)
        return false;
    if (strcmp(when, "auto") != 0)
        fail_usage("map ", "--color takes auto, always or never, not \"%s\"", when);
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (no == NULL || *no == '\0');
}

int map_command(int argc, char **argv)
{
    static const struct option options[] = {{"color", required_argument, NULL, 'c'},
                                            {"colour", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *colour_when = "auto";
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'c': colour_when = optarg; break;
        case 'h': print_help(); return EXIT_SUCCESS;
        default: return STATUS_USAGE;
        }
    }
    const bool colour = wants_colour(colour_when);
    if (argc - optind != 1)
        fail_usage("map ", "map takes one process or core file");
    struct target *target = target_open(argv[optind]);
    struct numbers numbers = {0};
    image_open(target);
    numbers_take(target, &numbers, WITH_MAP);
    printf("quarry map: %s: a character for 32 KiB\n\n", target->name);
    put_map(&numbers, colour);
    put_legend(&numbers, colour);
    return EXIT_SUCCESS;
}
