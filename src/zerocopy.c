/*
 * zerocopy.c: MSG_ZEROCOPY, and the references of what the kernel is reading; include/quarry/zerocopy.h has the
 * contracts. Layer 6.
 *
 *     ring      . . [17][NULL][19][20] . .        first = 17, count = 4, pending = 3: 18 was done first
 *
 * I1  a send that the kernel has accepted with MSG_ZEROCOPY has the number first + count at that moment: it counts
 *     those, and only those, per socket.
 * I2  every send in flight owns a reference to each of its slices, taken before the system call: the notification may
 *     come before that call returns.
 * I3  room is a power of two, so numbers may wrap.
 */
#include "zerocopy.h"

#include "alloc.h"
#include "fork.h"
#include "os.h"
#include "sending.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/*
 * Defaults: see qy_zerocopy(3) for the figures. A pause of 256 sends makes what is tried in vain on a path that
 * copies less than half a percent of them, and it doubles.
 */
enum { SEND_BYTES = 32 << 10, SLICE_BYTES = 8 << 10, PAUSE_FIRST = 256, PAUSE_LIMIT = 1 << 20, ROOM_FIRST = 16 };

/* Sending looks for notifications itself, after so many sends that are still in flight, and as long as it does not know
 * the path. Looking in vain costs a tenth of a send. */
enum { REAP_AFTER = 32 };

/* ---- forked children ---- */

static _Atomic uint32_t generation;

static void in_child(void)
{
    /* relaxed: the child has one thread */
    atomic_store_explicit(&generation, atomic_load_explicit(&generation, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static uint32_t this_generation(void)
{
    static _Atomic bool hooked;
    if (!atomic_load_explicit(&hooked, memory_order_relaxed) &&
        !atomic_exchange_explicit(&hooked, true, memory_order_relaxed)) {
        qyi_fork_add_hook(in_child);
        qyi_fork_register(); /* also for a process with one thread */
    }
    qyi_fork_check();
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

/* What the parent sent is the parent's: the references stay, and the notifications. True: this is the parent. */
static bool is_ours(qy_zerocopy *zerocopy)
{
    if (QYI_LIKELY(zerocopy->generation == this_generation()))
        return true;
    zerocopy->able = false;
    zerocopy->count = 0;
    zerocopy->pending = 0;
    return false;
}

/* ---- sends in flight ---- */

static struct qyi_flight **flight_at(const qy_zerocopy *zerocopy, uint32_t number)
{
    return &zerocopy->ring[number & (zerocopy->room - 1)]; /* I3 */
}

bool qyi_zerocopy_reserve(qy_zerocopy *zerocopy)
{
    if (QYI_LIKELY(zerocopy->count < zerocopy->room))
        return true;
    const uint32_t room = zerocopy->room == 0 ? ROOM_FIRST : 2 * zerocopy->room;
    struct qyi_flight **ring = qyi_malloc(room * sizeof(struct qyi_flight *));
    if (ring == NULL)
        return false;
    for (uint32_t i = 0; i < zerocopy->count; i++)
        ring[(zerocopy->first + i) & (room - 1)] = *flight_at(zerocopy, zerocopy->first + i);
    qyi_free(zerocopy->ring);
    zerocopy->ring = ring;
    zerocopy->room = room;
    return true;
}

void qyi_zerocopy_add(qy_zerocopy *zerocopy, struct qyi_flight *flight)
{
    *flight_at(zerocopy, zerocopy->first + zerocopy->count) = flight; /* I1 */
    zerocopy->count++;
    zerocopy->pending++;
}

static void drop_flight(struct qyi_flight *flight)
{
    qy_slices_drop(flight->slices, flight->count);
    qyi_free(flight);
}

size_t qyi_zerocopy_complete(qy_zerocopy *zerocopy, uint32_t low, uint32_t high)
{
    size_t done = 0;
    const uint32_t last = high - zerocopy->first;
    if (last >= zerocopy->count) /* not in flight any more */
        return 0;
    /* The kernel may report sends together with earlier ones, which qy_zerocopy_drop() has forgotten. */
    const uint32_t from = low - zerocopy->first <= last ? low - zerocopy->first : 0;
    for (uint32_t i = from; i <= last; i++) {
        struct qyi_flight **flight = flight_at(zerocopy, zerocopy->first + i);
        if (*flight == NULL)
            continue;
        drop_flight(*flight);
        *flight = NULL;
        done++;
    }
    while (zerocopy->count != 0 && *flight_at(zerocopy, zerocopy->first) == NULL) {
        zerocopy->first++;
        zerocopy->count--;
    }
    zerocopy->pending -= done;
    return done;
}

/* ---- the error queue ---- */

static const struct sock_extended_err *notification_in(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
        const bool is_error = (part->cmsg_level == SOL_IP && part->cmsg_type == IP_RECVERR) ||
                              (part->cmsg_level == SOL_IPV6 && part->cmsg_type == IPV6_RECVERR);
        const struct sock_extended_err *error = (const struct sock_extended_err *)CMSG_DATA(part);
        if (is_error && error->ee_errno == 0 && error->ee_origin == SO_EE_ORIGIN_ZEROCOPY)
            return error;
    }
    return NULL;
}

static void pause_after_copies(qy_zerocopy *zerocopy)
{
    if (zerocopy->pause != 0)
        return; /* sends from before the pause */
    zerocopy->pause = zerocopy->pause_max;
    zerocopy->pause_max = (uint32_t)qyi_min(2 * (size_t)zerocopy->pause_max, PAUSE_LIMIT);
}

static size_t take_notification(qy_zerocopy *zerocopy, const struct sock_extended_err *error)
{
    const size_t done = qyi_zerocopy_complete(zerocopy, error->ee_info, error->ee_data);
    if ((error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0) {
        zerocopy->stats.reported += done;
        pause_after_copies(zerocopy);
    }
    zerocopy->proven = zerocopy->pause == 0;
    return done;
}

ssize_t qy_zerocopy_reap(qy_zerocopy *zerocopy)
{
    const int saved_errno = errno;
    size_t done = 0;
    if (!is_ours(zerocopy))
        return 0;
    while (zerocopy->pending != 0) {
        union {
            struct cmsghdr header; /* for its alignment */
            char bytes[256];
        } control;
        struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
        if (recvmsg(zerocopy->socket, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN && done == 0)
                return -1;
            break;
        }
        const struct sock_extended_err *error = notification_in(&message);
        if (error != NULL)
            done += take_notification(zerocopy, error);
    }
    zerocopy->reap_at = zerocopy->pending + REAP_AFTER;
    errno = saved_errno;
    return (ssize_t)done;
}

int qy_zerocopy_wait(qy_zerocopy *zerocopy, int timeout_ms)
{
    const int saved_errno = errno;
    const uint64_t start = qyi_os_now_ms();
    for (;;) {
        const ssize_t done = qy_zerocopy_reap(zerocopy);
        if (done < 0)
            return -1;
        if (zerocopy->pending == 0)
            break;
        const uint64_t elapsed = qyi_os_now_ms() - start;
        if (timeout_ms >= 0 && elapsed >= (uint64_t)timeout_ms) {
            errno = ETIMEDOUT;
            return -1;
        }
        const int left = timeout_ms < 0 ? -1 : timeout_ms - (int)elapsed;
        struct pollfd errors = {.fd = zerocopy->socket};
        /* POLLERR stays for other reasons, and POLLHUP: then only the clock helps */
        const int ready = poll(&errors, 1, left);
        if (ready < 0 || (ready > 0 && done == 0 && poll(NULL, 0, 1) < 0))
            return -1;
    }
    errno = saved_errno;
    return 0;
}

/* ---- sending ---- */

static bool is_worth_it(const qy_zerocopy *zerocopy, const qy_slice *slices, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += slices[i].iov_len;
    return bytes >= zerocopy->send_bytes && bytes / count >= zerocopy->slice_bytes;
}

/* Whether the path copies, the first notification tells. Until then, one send is tried, the others are copied. */
static bool is_its_turn(qy_zerocopy *zerocopy)
{
    if (!zerocopy->proven && zerocopy->pending != 0)
        (void)qy_zerocopy_reap(zerocopy);
    if (zerocopy->pause != 0) {
        zerocopy->pause--;
        return false;
    }
    return zerocopy->proven || zerocopy->pending == 0;
}

/* References to all slices; NULL and errno. */
static struct qyi_flight *take_references(const qy_slice *slices, size_t count)
{
    struct qyi_flight *flight = qyi_malloc(sizeof *flight + count * sizeof(qy_slice));
    if (flight == NULL)
        return NULL;
    flight->count = count;
    memcpy(flight->slices, slices, count * sizeof *slices);
    if (qy_slices_retain(slices, count) == 0)
        return flight;
    qyi_free(flight);
    return NULL;
}

/* The first so many bytes went out: the rest needs no references. True: there is a rest. */
static bool trim_flight(struct qyi_flight *flight, size_t bytes)
{
    size_t used = 0;
    size_t reached = 0;
    for (; used < flight->count && reached < bytes; used++)
        reached += flight->slices[used].iov_len;
    const bool rest = reached > bytes || used < flight->count;
    qy_slices_drop(&flight->slices[used], flight->count - used);
    flight->count = used;
    return rest;
}

static ssize_t send_copying(qy_zerocopy *zerocopy, const struct qyi_sending *sending, const qy_slice *slices,
                            size_t count, bool more)
{
    zerocopy->stats.copies++;
    return qyi_sending_message(sending, slices, count, more);
}

static ssize_t send_in_place(qy_zerocopy *zerocopy, const struct qyi_sending *sending, const qy_slice *slices,
                             size_t count, bool more)
{
    struct qyi_sending in_place = *sending;
    in_place.flags |= MSG_ZEROCOPY;
    struct qyi_flight *flight = qyi_zerocopy_reserve(zerocopy) ? take_references(slices, count) : NULL; /* I2 */
    if (flight == NULL)
        return -1;
    const ssize_t sent = qyi_sending_message(&in_place, slices, count, more);
    if (sent <= 0) {
        const int error = errno;
        drop_flight(flight);
        errno = error;
        return sent;
    }
    zerocopy->cut_short = trim_flight(flight, (size_t)sent);
    qyi_zerocopy_add(zerocopy, flight);
    zerocopy->stats.sends++;
    return sent;
}

/* What qyi_sending_run calls for bytes in memory. */
static ssize_t send_some(const struct qyi_sending *sending, const qy_slice *slices, size_t count, bool more)
{
    qy_zerocopy *zerocopy = sending->context;
    const int saved_errno = errno;
    if (!zerocopy->able || !is_worth_it(zerocopy, slices, count) || !is_its_turn(zerocopy)) {
        errno = saved_errno;
        return send_copying(zerocopy, sending, slices, count, more);
    }
    ssize_t sent = send_in_place(zerocopy, sending, slices, count, more);
    if (sent >= 0 || (errno != ENOBUFS && errno != EOPNOTSUPP))
        return sent;
    const bool unsupported = errno == EOPNOTSUPP;
    zerocopy->stats.refused++;
    (void)qy_zerocopy_reap(zerocopy);
    errno = saved_errno;
    sent = send_copying(zerocopy, sending, slices, count, more);
    if (unsupported && sent >= 0)
        zerocopy->able = false; /* or it was another flag that the socket does not know */
    return sent;
}

/* What is to be sent: the slices of an array, or of a chain. */
struct load {
    qy_slice *slices;
    size_t count;
    qy_chain *chain; /* or NULL */
};

static ssize_t run(qy_zerocopy *zerocopy, const struct load *load, int flags)
{
    const struct qyi_sending sending = {
        .fd = zerocopy->socket, .flags = flags & ~MSG_ZEROCOPY, .some = send_some, .context = zerocopy};
    const qy_slice *slices = load->chain != NULL ? load->chain->slices : load->slices;
    const size_t count = load->chain != NULL ? load->chain->count : load->count;
    const ssize_t sent = qyi_sending_run(&sending, slices, count);
    if (sent > 0 && load->chain != NULL)
        (void)qy_chain_drain(load->chain, (size_t)sent);
    else if (sent > 0)
        qyi_slices_drain(load->slices, load->count, (size_t)sent);
    return sent;
}

/*
 * The kernel may run out of room for its account in the middle of a call, and sends less without saying why. That must
 * not look like a full socket: the rest is offered once more, to be copied. If the socket is full indeed, that does
 * not wait.
 */
static ssize_t run_to_its_end(qy_zerocopy *zerocopy, const struct load *load, int flags)
{
    const int saved_errno = errno;
    if (is_ours(zerocopy) && zerocopy->pending >= zerocopy->reap_at)
        (void)qy_zerocopy_reap(zerocopy); /* what keeps it from reaping comes back with the next call of it */
    errno = saved_errno;
    zerocopy->cut_short = false;
    const ssize_t sent = run(zerocopy, load, flags);
    if (QYI_LIKELY(!zerocopy->cut_short))
        return sent;
    const bool able = zerocopy->able;
    zerocopy->able = false;
    const ssize_t rest = run(zerocopy, load, flags | MSG_DONTWAIT);
    zerocopy->able = able;
    errno = saved_errno;
    return rest > 0 ? sent + rest : sent;
}

ssize_t qy_zerocopy_send(qy_zerocopy *zerocopy, qy_slice *slices, size_t count, int flags)
{
    return run_to_its_end(zerocopy, &(struct load){.slices = slices, .count = count}, flags);
}

ssize_t qy_zerocopy_send_chain(qy_zerocopy *zerocopy, qy_chain *chain, int flags)
{
    return run_to_its_end(zerocopy, &(struct load){.chain = chain}, flags);
}

/* ---- making and ending ---- */

/* AF_INET and so on; -1 and errno. */
static int domain_of(int socket)
{
    int domain;
    socklen_t length = sizeof domain;
    return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 ? domain : -1;
}

qy_zerocopy *qy_zerocopy_new(int socket)
{
    const int on = 1;
    const int saved_errno = errno;
    const int domain = domain_of(socket);
    if (domain < 0 && (errno == EBADF || errno == ENOTSOCK))
        return NULL;
    /* Others that know SO_ZEROCOPY, such as AF_VSOCK, have notifications of their own kind. */
    const bool able =
        (domain == AF_INET || domain == AF_INET6) && setsockopt(socket, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == 0;
    errno = saved_errno;
    qy_zerocopy *zerocopy = qyi_calloc(1, sizeof *zerocopy);
    if (zerocopy == NULL)
        return NULL;
    zerocopy->socket = socket;
    zerocopy->able = able;
    zerocopy->generation = this_generation();
    zerocopy->pause_max = PAUSE_FIRST;
    zerocopy->reap_at = REAP_AFTER;
    qy_zerocopy_set_limits(zerocopy, SEND_BYTES, SLICE_BYTES);
    return zerocopy;
}

void qy_zerocopy_set_limits(qy_zerocopy *zerocopy, size_t send_bytes, size_t slice_bytes)
{
    zerocopy->send_bytes = send_bytes;
    zerocopy->slice_bytes = slice_bytes;
}

size_t qy_zerocopy_pending(const qy_zerocopy *zerocopy)
{
    return zerocopy->generation == this_generation() ? zerocopy->pending : 0;
}

struct qy_zerocopy_stats qy_zerocopy_get_stats(const qy_zerocopy *zerocopy)
{
    return zerocopy->stats;
}

size_t qy_zerocopy_drop(qy_zerocopy *zerocopy)
{
    if (!is_ours(zerocopy) || zerocopy->count == 0)
        return 0;
    return qyi_zerocopy_complete(zerocopy, zerocopy->first, zerocopy->first + zerocopy->count - 1);
}

void qy_zerocopy_free(qy_zerocopy *zerocopy)
{
    if (zerocopy == NULL)
        return;
    qyi_free(zerocopy->ring);
    qyi_free(zerocopy);
}
