/* First malloc and exit of threads while another thread holds the loader's lock and waits for them. */
#include "blackbox.h"

int main(void)
{
    for (int round = 0; round < 20; round++)
        CHECK(dlclose(bb_open_module("start_loader_lock_module", RTLD_NOW)) == 0);
    return 0;
}
