/*
 * start.c: what happens when the library is loaded and when the process ends. Layer 6.
 *
 * The allocator itself starts at the first call, which may well come before this: from the loader, from another
 * library's constructor, or from an IFUNC resolver. What needs a working libc (the environment, fork handlers) waits
 * for the constructor.
 */
#include "start.h"

#include "dump.h"
#include "heaps.h"
#include "http.h"
#include "leaks.h"
#include "magazine.h"
#include "options.h"
#include "page.h"
#include "profile.h"
#include "region.h"
#include "root.h"
#include "thread.h"
#include "watch.h"

QYI_ONCE void qyi_start_anchor(void)
{
}

__attribute__((constructor(101))) QYI_ONCE static void library_loaded(void)
{
    qyi_options_read();
    qyi_region_advise();
    const bool started = qyi_start(); /* if there is no memory now, there may be later */
    qyi_dump_start();
    if (started) {
        qyi_leaks_start();
        qyi_profile_start();
    }
    qyi_page_start();
    qyi_watch_start();
    __asm__("" : : "r"(&qy_root)); /* who looks from outside finds it in programs that libquarry.a is part of, too */
    qyi_http_start();
}

__attribute__((destructor(101))) QYI_ONCE static void process_ends(void)
{
    qyi_http_finish();
    if (qyi_region_is_mine() || qyi_heaps_are_mine())
        return; /* exit was called in a signal handler, which interrupted a slow path */
    qyi_dump_finish();
    qyi_profile_finish();
    qyi_leaks_finish();
    /* Blocks are checked when they leave a magazine, or come to their owner; those of the last moments do here. The remote buffer needs
     * no lock, so it does not matter what exit interrupted. */
    if (qyi_thread_is_attached()) {
        qyi_remote_flush(qyi_my_magazines());
        qyi_magazines_check(qyi_my_magazines());
    }
    qyi_heaps_check();
}
