/*
 * page.c: numbers for readers with little privilege. Layer 6.
 */
#include "page.h"

void qyi_page_start(void)
{
}

void qyi_page_update(void)
{
}

enum qyi_page_fit qyi_page_read(const struct qyi_page *shared, size_t bytes, struct qyi_page *copy)
{
    (void)shared, (void)bytes, (void)copy;
    return QYI_PAGE_NONE;
}
