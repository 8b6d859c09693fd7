/*
 * uring.c: slices and io_uring; include/quarry/uring.h has the contracts.
 *
 *     request    prepared -> the kernel's -> completion -> event
 *                                        `-> completion with MORE -> event ... notification -> its slices are let go
 *
 * I1  a request of ours is in the list until its last completion has been seen: the one without MORE. Its slices are
 *     its own until then. A failed send without copying has a notification like any other if its completion says MORE.
 * I2  user_data of ours is odd.
 */
#include "uring.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* See qy_uring(3) for the figures. */
enum { SEND_BYTES = 32 << 10, SLICE_BYTES = 8 << 10, REGISTERED_BYTES = 8 << 10 };

#define NO_USER_DATA ((uint64_t)1) /* of requests whose completion tells nothing */

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- requests ---- */

static uint64_t name_of(const struct qyi_request *request)
{
    return (uintptr_t)request | 1; /* I2 */
}

static struct qyi_request *new_request(qy_uring *uring, enum qy_uring_kind kind, int socket, size_t count,
                                       void *context)
{
    struct qyi_request *request = qy_malloc(sizeof *request + count * sizeof request->slices[0]);
    if (request == NULL)
        return NULL;
    *request = (struct qyi_request){
        .kind = kind, .socket = socket, .context = context, .count = count, .next = uring->requests};
    if (request->next != NULL)
        request->next->prev = request;
    uring->requests = request;
    uring->pending++;
    return request;
}

static void end_request(qy_uring *uring, struct qyi_request *request)
{
    if (request->prev != NULL)
        request->prev->next = request->next;
    else
        uring->requests = request->next;
    if (request->next != NULL)
        request->next->prev = request->prev;
    uring->pending--;
    qy_slices_drop(request->slices, request->count);
    qy_free(request);
}

/* A place for a request; NULL and errno. */
static struct io_uring_sqe *take_place(qy_uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    if (sqe != NULL)
        return sqe;
    const int submitted = io_uring_submit(&uring->ring);
    sqe = submitted < 0 ? NULL : io_uring_get_sqe(&uring->ring);
    if (sqe == NULL)
        errno = submitted < 0 ? -submitted : EBUSY;
    return sqe;
}

/* ---- sending ---- */

static size_t bytes_of(const qy_slice *slices, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += slices[i].iov_len;
    return bytes;
}

static bool is_registered(const qy_uring *uring, const void *p)
{
    return uring->arena != NULL && qy_arena_of(p) == uring->arena;
}

static void prepare_single(const qy_uring *uring, struct io_uring_sqe *sqe, struct qyi_request *request)
{
    const qy_slice *slice = request->slices;
    const bool registered = is_registered(uring, slice->iov_base);
    request->copying |= slice->iov_len < (registered ? uring->registered_bytes : uring->send_bytes);
    if (request->copying)
        io_uring_prep_send(sqe, request->socket, slice->iov_base, slice->iov_len, request->flags);
    else if (registered)
        io_uring_prep_send_zc_fixed(sqe, request->socket, slice->iov_base, slice->iov_len, request->flags, 0,
                                    (unsigned)qy_arena_index(uring->arena, slice->iov_base));
    else
        io_uring_prep_send_zc(sqe, request->socket, slice->iov_base, slice->iov_len, request->flags, 0);
}

static void prepare_several(const qy_uring *uring, struct io_uring_sqe *sqe, struct qyi_request *request)
{
    const size_t bytes = bytes_of(request->slices, request->count);
    request->copying |= bytes < uring->send_bytes || bytes / request->count < uring->slice_bytes;
    request->message = (struct msghdr){.msg_iov = request->slices, .msg_iovlen = request->count};
    if (request->copying)
        io_uring_prep_sendmsg(sqe, request->socket, &request->message, (unsigned)request->flags);
    else
        io_uring_prep_sendmsg_zc(sqe, request->socket, &request->message, (unsigned)request->flags);
}

static void prepare(const qy_uring *uring, struct io_uring_sqe *sqe, struct qyi_request *request)
{
    request->copying |= !uring->can_send_zc;
    if (request->count == 1)
        prepare_single(uring, sqe, request);
    else
        prepare_several(uring, sqe, request);
    io_uring_sqe_set_data64(sqe, name_of(request));
}

int qy_uring_send(qy_uring *uring, int socket, qy_slice *slices, size_t count, int flags, void *context)
{
    const size_t bytes = bytes_of(slices, count);
    if (count > IOV_MAX || bytes == 0 || bytes > INT_MAX) /* what a completion can tell */
        return fail(EINVAL);
    struct io_uring_sqe *sqe;
    struct qyi_request *request = new_request(uring, QY_URING_SENT, socket, count, context);
    if (request == NULL)
        return -1;
    sqe = take_place(uring);
    if (sqe == NULL) {
        const int error = errno;
        request->count = 0; /* the slices are the caller's */
        end_request(uring, request);
        return fail(error);
    }
    memcpy(request->slices, slices, count * sizeof *slices);
    memset(slices, 0, count * sizeof *slices);
    request->flags = flags | MSG_WAITALL;
    prepare(uring, sqe, request);
    return 0;
}

int qy_uring_send_chain(qy_uring *uring, int socket, qy_chain *chain, int flags, void *context)
{
    const size_t count = chain->count;
    qy_slice *slices = qy_malloc(count * sizeof *slices);
    if (slices == NULL)
        return -1;
    if (count != 0)
        memcpy(slices, chain->slices, count * sizeof *slices);
    int result = qy_slices_retain(slices, count);
    if (result == 0) {
        result = qy_uring_send(uring, socket, slices, count, flags, context);
        if (result == 0)
            qy_chain_clear(chain);
        else
            qy_slices_drop(slices, count);
    }
    qy_free(slices);
    return result;
}

/* ---- receiving ---- */

int qy_uring_provide(qy_uring *uring, unsigned count, size_t bytes)
{
    size_t rounded = 64;
    while (rounded < bytes && rounded <= (64 << 10))
        rounded *= 2;
    if (count == 0 || count > (1 << 15) || (count & (count - 1)) != 0 || bytes == 0 || rounded > (64 << 10))
        return fail(EINVAL);
    if (uring->provided != NULL)
        return fail(EBUSY);
    uring->provided = qyi_provided_new(&uring->ring, count, rounded);
    return uring->provided != NULL ? 0 : -1;
}

int qy_uring_receive(qy_uring *uring, int socket, void *context)
{
    if (uring->provided == NULL)
        return fail(EINVAL);
    struct qyi_request *request = new_request(uring, QY_URING_RECEIVED, socket, 0, context);
    if (request == NULL)
        return -1;
    struct io_uring_sqe *sqe = take_place(uring);
    if (sqe == NULL) {
        const int error = errno;
        end_request(uring, request);
        return fail(error);
    }
    io_uring_prep_recv_multishot(sqe, socket, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = QYI_URING_GROUP;
    io_uring_sqe_set_data64(sqe, name_of(request));
    return 0;
}

static int cancel(qy_uring *uring, const struct qyi_request *request)
{
    struct io_uring_sqe *sqe = take_place(uring);
    if (sqe == NULL)
        return -1;
    io_uring_prep_cancel64(sqe, name_of(request), 0);
    io_uring_sqe_set_data64(sqe, NO_USER_DATA);
    return 0;
}

int qy_uring_cancel(qy_uring *uring, const void *context)
{
    for (const struct qyi_request *request = uring->requests; request != NULL; request = request->next) {
        if (request->kind == QY_URING_RECEIVED && request->context == context)
            return cancel(uring, request);
    }
    return fail(ENOENT);
}

/* ---- completions ---- */

/* This send was refused because the socket cannot do without copying. 0: it is under way again; or a negative errno value. */
static int send_by_copying(qy_uring *uring, struct qyi_request *request)
{
    const int saved_errno = errno;
    struct io_uring_sqe *sqe = take_place(uring);
    const int error = sqe == NULL ? -errno : 0;
    errno = saved_errno;
    if (sqe != NULL)
        prepare(uring, sqe, request);
    return error;
}

/* True: there is something to tell. */
static bool complete_send(qy_uring *uring, struct qyi_request *request, const struct io_uring_cqe *cqe,
                          struct qy_uring_event *event)
{
    const bool more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    const bool notification = (cqe->flags & IORING_CQE_F_NOTIF) != 0;
    const bool refused = !notification && !request->copying && cqe->res == -EOPNOTSUPP;
    *event = (struct qy_uring_event){.kind = QY_URING_SENT, .result = cqe->res, .context = request->context};
    if (refused)
        request->copying = true;
    if (refused && more)
        return false;
    if (refused || (notification && request->copying)) {
        event->result = send_by_copying(uring, request);
        if (event->result == 0)
            return false;
        end_request(uring, request);
        return true;
    }
    if (!more) /* I1 */
        end_request(uring, request);
    return !notification;
}

static bool complete_receive(qy_uring *uring, struct qyi_request *request, const struct io_uring_cqe *cqe,
                             struct qy_uring_event *event)
{
    *event = (struct qy_uring_event){.kind = QY_URING_RECEIVED,
                                     .result = cqe->res,
                                     .context = request->context,
                                     .more = (cqe->flags & IORING_CQE_F_MORE) != 0};
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        const unsigned number = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        qy_slice slice = qyi_provided_take(uring->provided, number, 1);
        if (cqe->res > 0)
            slice.iov_len = (size_t)cqe->res;
        else
            qy_slice_drop(&slice);
        event->slice = slice;
    }
    if (!event->more)
        end_request(uring, request);
    return true;
}

/* True: an event. */
static bool complete(qy_uring *uring, const struct io_uring_cqe *cqe, struct qy_uring_event *event)
{
    const uint64_t name = io_uring_cqe_get_data64(cqe);
    if (name == NO_USER_DATA)
        return false;
    if (name % 2 == 0) {
        *event = (struct qy_uring_event){
            .kind = QY_URING_OTHER, .result = cqe->res, .context = (void *)(uintptr_t)name, .flags = cqe->flags};
        return true;
    }
    struct qyi_request *request = (struct qyi_request *)(uintptr_t)(name & ~(uint64_t)1);
    return request->kind == QY_URING_SENT ? complete_send(uring, request, cqe, event)
                                          : complete_receive(uring, request, cqe, event);
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Submit, and wait for a completion. 0, or a negative errno value (-ETIME). */
static int wait_for_one(qy_uring *uring, int timeout_ms)
{
    struct io_uring_cqe *cqe;
    const int submitted = io_uring_submit(&uring->ring);
    if (submitted < 0 && submitted != -EBUSY) /* EBUSY: completions are to be taken first */
        return submitted;
    if (timeout_ms == 0)
        return io_uring_peek_cqe(&uring->ring, &cqe) == 0 ? 0 : -ETIME;
    if (timeout_ms < 0)
        return io_uring_wait_cqe(&uring->ring, &cqe);
    struct __kernel_timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    return io_uring_wait_cqe_timeout(&uring->ring, &cqe, &timeout);
}

/* As qy_uring_next; with until_idle, 0 also when none of our requests is in flight. */
static int next_event(qy_uring *uring, struct qy_uring_event *event, int timeout_ms, bool until_idle)
{
    const uint64_t start = timeout_ms > 0 ? now_ms() : 0;
    for (;;) {
        struct io_uring_cqe *cqe;
        while (io_uring_peek_cqe(&uring->ring, &cqe) == 0) {
            const struct io_uring_cqe copy = *cqe;
            io_uring_cqe_seen(&uring->ring, cqe);
            if (complete(uring, &copy, event)) {
                if (io_uring_sq_ready(&uring->ring) != 0)
                    (void)io_uring_submit(&uring->ring);
                return 1;
            }
        }
        if (until_idle && uring->pending == 0)
            return 0;
        const uint64_t elapsed = timeout_ms > 0 ? now_ms() - start : 0;
        const int left = timeout_ms < 0 ? -1 : elapsed >= (uint64_t)timeout_ms ? 0 : timeout_ms - (int)elapsed;
        const int error = wait_for_one(uring, left);
        if (error == -ETIME)
            return 0;
        if (error < 0)
            return fail(-error);
    }
}

int qy_uring_next(qy_uring *uring, struct qy_uring_event *event, int timeout_ms)
{
    return next_event(uring, event, timeout_ms, false);
}

/* ---- making and ending ---- */

static bool knows_zc(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    const bool knows = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) &&
                       io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC);
    io_uring_free_probe(probe);
    return knows;
}

qy_uring *qy_uring_new(unsigned entries)
{
    qy_uring *uring = qy_calloc(1, sizeof *uring);
    if (uring == NULL)
        return NULL;
    const int saved_errno = errno;
    const int error = io_uring_queue_init(entries, &uring->ring, 0);
    if (error != 0) {
        qy_free(uring);
        errno = -error;
        return NULL;
    }
    uring->can_send_zc = knows_zc(&uring->ring);
    qy_uring_set_limits(uring, SEND_BYTES, SLICE_BYTES, REGISTERED_BYTES);
    errno = saved_errno;
    return uring;
}

struct io_uring *qy_uring_ring(qy_uring *uring)
{
    return &uring->ring;
}

void qy_uring_set_limits(qy_uring *uring, size_t send_bytes, size_t slice_bytes, size_t registered_bytes)
{
    uring->send_bytes = send_bytes;
    uring->slice_bytes = slice_bytes;
    uring->registered_bytes = registered_bytes;
}

int qy_uring_register_arena(qy_uring *uring, qy_arena *arena)
{
    if (uring->arena != NULL)
        return fail(EBUSY);
    const size_t count = qy_arena_buffers(arena, NULL, 0);
    struct iovec *buffers = qy_malloc(count * sizeof *buffers);
    if (buffers == NULL)
        return -1;
    (void)qy_arena_buffers(arena, buffers, count);
    qy_arena_pin(arena); /* before: it must not go while it is registered */
    const int error = io_uring_register_buffers(&uring->ring, buffers, (unsigned)count);
    qy_free(buffers);
    if (error != 0) {
        qy_arena_unpin(arena);
        return fail(-error);
    }
    uring->arena = arena;
    return 0;
}

size_t qy_uring_pending(const qy_uring *uring)
{
    return uring->pending;
}

int qy_uring_free(qy_uring *uring, int timeout_ms)
{
    if (uring == NULL)
        return 0;
    const uint64_t start = now_ms();
    for (const struct qyi_request *request = uring->requests; request != NULL; request = request->next) {
        if (cancel(uring, request) != 0)
            break; /* what is not cancelled is waited for */
    }
    while (uring->pending != 0) {
        struct qy_uring_event event;
        const uint64_t elapsed = now_ms() - start;
        const int left = timeout_ms < 0 ? -1 : elapsed >= (uint64_t)timeout_ms ? 0 : timeout_ms - (int)elapsed;
        const int more = next_event(uring, &event, left, true);
        if (more == 1)
            qy_slice_drop(&event.slice);
        else if (more == 0 && uring->pending != 0)
            return fail(ETIMEDOUT);
        else if (more < 0 && errno != EINTR)
            return -1;
    }
    if (uring->provided != NULL)
        (void)io_uring_unregister_buf_ring(&uring->ring, QYI_URING_GROUP);
    if (uring->arena != NULL)
        (void)io_uring_unregister_buffers(&uring->ring);
    io_uring_queue_exit(&uring->ring);
    if (uring->provided != NULL)
        qyi_provided_close(uring->provided);
    if (uring->arena != NULL)
        qy_arena_unpin(uring->arena);
    qy_free(uring);
    return 0;
}
