/*
 * top_screen.c: the page of quarry top on a terminal.
 */
#include "top.h"

#include "command.h"

#ifdef HAVE_NCURSES

#include <curses.h>
#include <string.h>

static void leave(void)
{
    if (!isendwin())
        endwin();
}

/* Lines up to the empty one stay, and the table's title; its rows scroll. */
static void draw(const struct top *top, unsigned scrolled)
{
    enum { HEAD, TABLE_TITLE, ROWS } part = HEAD;
    int line = 0;
    erase();
    for (char *at = top_page(top).start, *end; (end = strchr(at, '\n')) != NULL && line < LINES; at = end + 1) {
        *end = '\0';
        if (part == ROWS && scrolled > 0) {
            scrolled--;
            continue;
        }
        attrset(line == 0 || part == TABLE_TITLE ? A_BOLD : A_NORMAL);
        mvaddnstr(line++, 0, at, -1);
        if (part == TABLE_TITLE)
            part = ROWS;
        else if (part == HEAD && at == end)
            part = TABLE_TITLE;
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
        draw(top, scrolled);
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
