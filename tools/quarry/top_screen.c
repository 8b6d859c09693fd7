/*
 * top_screen.c: the page of quarry top on a terminal.
 */
#include "top.h"

#include "command.h"

#ifdef HAVE_NCURSES

#include <curses.h>
#include <string.h>

enum { PAGE_BYTES = 64 << 10, HEAD_LINES_MOST = 8 };

static void leave(void)
{
    if (!isendwin())
        endwin();
}

/* The head stays, the table scrolls below it. */
static void draw(const struct top *top, unsigned *scrolled)
{
    static char buffer[PAGE_BYTES];
    struct qyi_text text = {.start = buffer, .capacity = sizeof buffer - 1, .fd = -1};
    top_put(&text, top);
    text.start[text.length] = '\0';
    erase();
    int line = 0;
    unsigned skip = 0;
    bool in_table = false;
    for (char *at = buffer, *end; (end = strchr(at, '\n')) != NULL && line < LINES; at = end + 1) {
        *end = '\0';
        if (skip > 0) {
            skip--;
            continue;
        }
        const bool title = line == 0 || (in_table && *scrolled != UINT32_MAX && skip == 0 && at[-1] == '\0' && at[-2] == '\0');
        if (title)
            attron(A_BOLD);
        mvaddnstr(line++, 0, at, -1);
        if (title)
            attroff(A_BOLD);
        if (in_table && title)
            skip = *scrolled;
        if (at == end)
            in_table = true;
    }
    refresh();
}

/* False: the user has seen enough. */
static bool take_key(struct top *top, int key, unsigned *scrolled)
{
    switch (key) {
    case 'q': return false;
    case 't': top->show_threads = true; break;
    case 'c': top->show_threads = false; break;
    case 's': top->order = (top->order + 1) % TOP_ORDER_COUNT; break;
    case KEY_DOWN: (*scrolled)++; return true;
    case KEY_UP: *scrolled -= *scrolled != 0; return true;
    default: return true;
    }
    *scrolled = 0;
    return true;
}

bool top_run_screen(struct top *top)
{
    top_take(top); /* what can go wrong is said before the terminal is ours */
    if (initscr() == NULL)
        return false;
    before_failing = leave;
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    unsigned scrolled = 0;
    for (;;) {
        top->columns = (unsigned)COLS;
        draw(top, &scrolled);
        timeout((int)(top->interval_s * 1000));
        const int key = getch();
        if (!take_key(top, key, &scrolled))
            break;
        if (key == ERR || key == ' ')
            top_take(top);
    }
    leave();
    return true;
}

#else

bool top_run_screen(struct top *top)
{
    (void)top;
    return false;
}

#endif
