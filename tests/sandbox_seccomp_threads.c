/* Threads are born, work and end while the kernel refuses memory calls to the allocator; stacks were made before. */
#include "children.h"
#include "sandbox.h"

enum { THREADS = 4 }; /* their stacks fit the C library's cache: it aborts when it cannot unmap one */
static pthread_barrier_t barrier;
static pthread_key_t key;

static void late(void *block)
{
    free(block);
    free(malloc(300));
}

static void *body(void *argument)
{
    uint64_t state = (uintptr_t)argument;
    char *blocks[300] = {0};
    pthread_barrier_wait(&barrier); /* no malloc before: this thread's heap cannot be made any more */
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 20000; i++) {
        size_t slot = bb_random(&state) % BB_COUNT(blocks), size = bb_random(&state) % (i % 100 == 0 ? 100000 : 2000);
        free(blocks[slot]);
        errno = 0;
        blocks[slot] = malloc(size);
        if (blocks[slot] == NULL)
            CHECK(errno == ENOMEM, "errno %d", errno);
        else
            memset(blocks[slot], 1, size);
    }
    pthread_setspecific(key, malloc(100));
    for (size_t i = 0; i < BB_COUNT(blocks); i++)
        free(blocks[i]);
    return NULL;
}

int main(void)
{
    static const int refused[] = {SYS_mmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_munmap};
    CHECK(pthread_key_create(&key, late) == 0);
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        threads[i] = bb_start(body, (void *)(i + 1));
    pthread_barrier_wait(&barrier);
    /* For all threads of the process: the filter is installed by one of them with TSYNC, through the plain system call. */
    struct sock_filter filter[BB_COUNT(refused) + 4];
    unsigned short length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < BB_COUNT(refused); i++)
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i],
                                                        (unsigned char)(BB_COUNT(refused) - i), 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SANDBOX_REFUSE(ENOMEM));
    const struct sock_fprog program = {length, filter};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        bb_skip("seccomp with TSYNC is not available: %s", strerror(errno));
    pthread_barrier_wait(&barrier);
    for (size_t i = 0; i < THREADS; i++)
        bb_join(threads[i]);
    return 0;
}
