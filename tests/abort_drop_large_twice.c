/* Misuse: two copies of one slice of a large block are dropped, as if they were two references. */
#include "abort.h"
#include "quarry/slice.h"

int main(void)
{
    qy_slice slice = qy_slice_new(1000000);
    qy_slice copy = slice;
    CHECK(slice.iov_len != 0);
    announce(slice.iov_base, "more often than");
    qy_slice_drop(&slice);
    qy_slice_drop(&copy);
    return 0;
}
