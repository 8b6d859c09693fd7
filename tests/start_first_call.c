/*
 * Each function of the family as the very first call of the process, before constructors. The program runs itself once per
 * function; .preinit_array gets the program's arguments.
 */
#include "blackbox.h"
#include <malloc.h>
#include <sys/wait.h>

static void call(int number)
{
    void *block = NULL;
    switch (number) {
    case 1: free(bb_hide(NULL)); break;
    case 2: free(malloc(10)); break;
    case 3: free(calloc(10, 10)); break;
    case 4: free(realloc(NULL, 10)); break;
    case 5: free(reallocarray(NULL, 10, 10)); break;
    case 6: free(aligned_alloc(64, 64)); break;
    case 7:
        CHECK(posix_memalign(&block, 64, 64) == 0);
        free(block);
        break;
    case 8: free(memalign(64, 64)); break;
    case 9: free(valloc(10)); break;
    case 10: free(pvalloc(10)); break;
    case 11: CHECK(malloc_usable_size(bb_hide(NULL)) == 0); break;
    case 12: malloc_trim(0); break;
    case 13: mallopt(M_MMAP_THRESHOLD, 1 << 20); break;
    case 14: CHECK(mallinfo2().uordblks < SIZE_MAX / 2); break;
    case 15: free(malloc(10 * BB_MIB)); break;
    case 16: CHECK(malloc(bb_hide_size(SIZE_MAX)) == NULL); break;
    case 17: free(malloc(bb_hide_size(0))); break;
    case 18: free(realloc(realloc(NULL, 100000), 1000000)); break;
    default: break;
    }
}
enum { CALLS = 18 };

static void before_constructors(int argc, char **argv)
{
    if (argc == 2)
        call(atoi(argv[1]));
}
__attribute__((section(".preinit_array"), used)) static void (*const entry)(int, char **) = before_constructors;

int main(int argc, char **argv)
{
    if (argc == 2) {
        for (int i = 1; i <= CALLS; i++)
            call(i);
        return 0;
    }
    for (int i = 1; i <= CALLS; i++) {
        char number[12];
        snprintf(number, sizeof(number), "%d", i);
        char *const arguments[] = {argv[0], number, NULL};
        pid_t child = fork();
        if (child == 0) {
            execv("/proc/self/exe", arguments);
            _exit(126);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "function %d first: wait status 0x%x", i,
              (unsigned)status);
    }
    return 0;
}
