/*
 * io.h: reading into slices, writing them out, and handing them to another process.
 *
 * An array of slices (slice.h) or a chain of them (chain.h) is an array of struct iovec, so it goes to the kernel as
 * it is. These functions take care of what is left to do around it: partial writes, IOV_MAX, parts of files that need
 * not pass through memory, and the references of what has been written.
 *
 * Progress   functions that send go on until everything is sent or the kernel refuses. They return the bytes that were
 *            sent, and -1 with errno only if there were none: EAGAIN and EINTR, too, end a call that has made progress
 *            with its bytes, and the next call goes on where this one ended. What was sent is drained: slices that
 *            went out whole are dropped and become empty, one that went out in part is advanced.
 * Threads    different arrays may be sent by different threads at once; to one descriptor, by one at a time, or their
 *            bytes mix.
 * Datagrams  up to IOV_MAX slices, none of them of qy_slice_file(), are one datagram. More is for streams.
 */
#ifndef QUARRY_IO_H
#define QUARRY_IO_H

#include "quarry/chain.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Write slices to a file, pipe, socket or terminal, as writev().
 *
 * slices     drained from the front; empty ones are passed over.
 * Returns    bytes written, 0 if there were none to write; -1 with errno as of writev().
 * Cost       a system call per IOV_MAX slices, or per stretch between file segments.
 */
QY_API ssize_t qy_slices_write(int fd, qy_slice *slices, size_t count);

/*
 * Send slices by a socket, as sendmsg().
 *
 * flags      as of sendmsg(). MSG_MORE is added in front of a file segment. MSG_ZEROCOPY needs somebody who remembers
 *            what the kernel reads: use zerocopy.h (EINVAL here).
 */
QY_API ssize_t qy_slices_send(int socket, qy_slice *slices, size_t count, int flags);

/* The same for chains. */
QY_API ssize_t qy_chain_write(int fd, qy_chain *chain);
QY_API ssize_t qy_chain_send(int socket, qy_chain *chain, int flags);

/*
 * Read once into a new block.
 *
 * max        bytes to read at most (more than 0, EINVAL). The block has room for all of them: see qy_slice_compact()
 *            for what to do with short reads that are kept for long.
 * slice      becomes what was read; empty at the end of the file and on failure.
 * Returns    bytes read, 0 at the end; -1 with errno as of read(), or ENOMEM.
 */
QY_API ssize_t qy_slice_read(int fd, size_t max, qy_slice *slice);

/*
 * Read once into slices that the caller is the only owner of, as readv().
 *
 * slices     lent; their bytes are overwritten from the front, pointers and lengths stay. At most IOV_MAX are used.
 * Returns    bytes read, 0 at the end; -1 with EBUSY (somebody else has a reference, or the memory must not be written
 *            to; nothing has been read) or errno as of readv().
 */
QY_API ssize_t qy_slices_read(int fd, const qy_slice *slices, size_t count);

/* As qy_slice_read, and what was read is appended to the chain. ENOMEM and EOVERFLOW: nothing has been read. */
QY_API ssize_t qy_chain_read(int fd, qy_chain *chain, size_t max);

/*
 * Part of a file that can be read like any slice, and that is sent without being read.
 *
 * fd         duplicated (close-on-exec): the caller may close it.
 * offset     need not be a multiple of anything. Beyond the end of the file is ERANGE; else errno as of mmap(),
 *            fstat() and dup().
 * length     0: up to the end.
 * Returns    a slice as of qy_slice_map(): pages come into memory when somebody looks at them. The functions of this
 *            header and of zerocopy.h hand it, and every part of it from 16 KiB on, to sendfile(); smaller parts are
 *            copied from the mapping. A file that shrinks meanwhile ends a send with EIO, and a look at the missing
 *            pages with SIGBUS.
 * Snapshot   none: bytes of the file that are changed before they have left the machine may arrive changed.
 * Cost       some system calls to make it; a look into the registry (some tens of nanoseconds) whenever it is sent.
 */
QY_API qy_slice qy_slice_file(int fd, off_t offset, size_t length);

/* ---- to another process ---- */

/*
 * The bytes as a sealed memory file, which any process may map once it has the descriptor. No reference is counted on
 * its behalf: the file itself lives as long as a descriptor or a mapping does.
 *
 * slice      lent; not empty (EINVAL). Its bytes are copied into the file, unless it is a whole one that
 *            qy_slice_open_shared() made: that file is used again.
 * Returns    a descriptor (close-on-exec), sealed against writing, growing and shrinking; -1 with errno as of
 *            memfd_create() and write().
 */
QY_API int qy_slice_share(qy_slice slice);

/*
 * The reverse, with a descriptor from somebody who need not be trusted.
 *
 * fd         lent. EPERM if it is not sealed against writing, growing and shrinking, whoever made it: the bytes could
 *            change or vanish under the reader.
 * max        EMSGSIZE if there are more bytes. EINVAL if there are none.
 * Returns    all of the file, mapped read-only; sent as a file segment, and shared again without a copy.
 */
QY_API qy_slice qy_slice_open_shared(int fd, size_t max);

/*
 * Hand the bytes to the process at the other end of an AF_UNIX socket: qy_slice_share(), and a message of one byte
 * that carries the descriptor.
 *
 * slice      lent.
 * Returns    0; or -1 with errno as of qy_slice_share() and sendmsg() (EAGAIN: nothing was sent).
 */
QY_API int qy_slice_pass(int socket, qy_slice slice);

/*
 * Receive what qy_slice_pass() sent.
 *
 * max        as of qy_slice_open_shared().
 * Returns    1 and the slice; 0 at the end of the stream; -1 with errno as of recvmsg() and qy_slice_open_shared(), or
 *            EPROTO: a message that is none of qy_slice_pass(). Descriptors that are not used are closed. The slice is
 *            empty then.
 */
QY_API int qy_slice_receive(int socket, size_t max, qy_slice *slice);

#ifdef __cplusplus
}
#endif

#endif
