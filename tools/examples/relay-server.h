/*
 * relay-server.h: a publish/subscribe relay over TCP, without the one part in which relay.c and relay-copy.c differ: how a
 * frame gets from a publisher's buffer to the subscribers' sockets.
 *
 *     publisher --> input: reads, finds whole frames --> run of frames --> output of each subscriber --> socket
 *
 * Protocol: both kinds of connection carry frames, each of them a length of 4 bytes, big endian, and that many bytes. Publishers
 * send, subscribers receive everything, beginning with an empty frame that the relay sends as a greeting.
 */
#ifndef EXAMPLES_RELAY_SERVER_H
#define EXAMPLES_RELAY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { PREFIX_BYTES = 4 };

/* How to send: an option of relay.c's. */
enum send_mode { SEND_WRITEV, SEND_AUTO, SEND_ZEROCOPY, SEND_URING };

struct relay_options {
    size_t buffer_bytes; /* of a publisher's buffer */
    size_t frame_limit;  /* longer frames end the publisher's connection */
    size_t queue_bytes;  /* more than that waiting: a subscriber is slow */
    enum send_mode send;
};

extern struct relay_options relay_options;

/* Whole frames with their prefixes, one after the other in memory. */
struct run {
    const char *bytes;
    size_t length;
    uint32_t frames;
    bool shared; /* by several outputs: relay.c's, from run_share() on */
};

/* Queue a run for all subscribers and send what can be sent. Called by input_filled(). */
void relay_publish(struct run *run);

/* An output has sent bytes, or failed with a negative errno value; all of them, or it is the end of the connection. */
void relay_sent(void *owner, int bytes, bool all);

/* ---- what relay.c and relay-copy.c bring ---- */

/* The name and what is special, for --help. */
extern const char relay_about[];

/* A publisher's buffer. */
struct input;

struct input *input_new(void);
void input_free(struct input *input);

/* Where to read to, *room bytes of it, more than 0; NULL without memory. */
char *input_space(struct input *input, size_t *room);

/* bytes have been read; whole frames are published. 0; or -1 with errno: EMSGSIZE for a frame that is too long, ENOMEM. */
int input_filled(struct input *input, size_t bytes);

/* Bytes of an unfinished frame. */
size_t input_rest(const struct input *input);

/* What waits for a subscriber's socket. */
struct output;

/* What all outputs have in common. The descriptor, -1 if there is none, is readable when
 * outputs_advance() has something to do; it is called at the end of each turn, too, and may call relay_sent(). */
void outputs_open(void);
int outputs_descriptor(void);
void outputs_advance(void);

/* owner is for relay_sent(). */
struct output *output_new(int fd, void *owner);
void output_free(struct output *output);

/* The connection is over. True: the kernel has done with all bytes, and the output can be freed; false: ask again. */
bool output_abandon(struct output *output);

/* The run will be appended that many times, perhaps not at all. Called once for each run. -1 without memory: then it must not. */
int run_share(struct run *run, uint32_t times);

/* -1 without memory. */
int output_append(struct output *output, const struct run *run);

/* Bytes that wait. */
size_t output_bytes(const struct output *output);

/* Send as much as the socket takes. The bytes sent; or -1 with errno: EAGAIN, an event or relay_sent() will tell when to go on. */
ssize_t output_send(struct output *output);

/* The kernel reports something about what was sent; false if it is an error of the connection. */
bool output_reported(struct output *output);

#endif
