/* 10,000 threads one after another, each allocating: resident memory afterwards within 10% of before plus 1 MiB. */
#include "thread_churn.h"

static void *body(void *argument)
{
    thread_work((uintptr_t)argument);
    return NULL;
}

int main(void)
{
    size_t before = rss_in_steady_state();
    for (size_t i = 1; i <= 10000; i++)
        bb_join(bb_start(body, (void *)i));
    expect_rss_returns_to(before);
    return 0;
}
