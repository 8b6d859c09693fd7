/*
 * test_http.c: addresses that are listened on, and requests with their answers, over a pair of sockets.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_answer.h"
#include "listen.h"

/* ---- addresses ---- */

static const char *parse(struct qyi_listener *listener, const char *text)
{
    return qyi_listen_parse(listener, text, strlen(text));
}

static const char *shown(const struct qyi_listener *listener)
{
    static struct qyi_line line;
    line.length = 0;
    qyi_listen_put(&line, listener);
    line.text[line.length] = '\0';
    return line.text;
}

START_TEST(test_addresses_of_this_machine_are_taken)
{
    static const char *const texts[][2] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"127.1.2.3:65535", "127.1.2.3:65535"},
        {"localhost:80", "127.0.0.1:80"},
        {"[::1]:8080", "[::1]:8080"},
        {"any:1", "[::]:1"},
        {"unix:/a/b", "unix:/a/b"},
        {"unix:/a%%b", "unix:/a%b"},
        {"unix:/a%b%", "unix:/a%b%"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct qyi_listener listener;
        ck_assert_ptr_null(parse(&listener, texts[i][0]));
        ck_assert_str_eq(shown(&listener), texts[i][1]);
        ck_assert_int_eq(listener.everywhere, strncmp(texts[i][0], "any", 3) == 0);
        ck_assert(!listener.picked);
    }
}
END_TEST

START_TEST(test_other_addresses_are_refused)
{
    static const char *const texts[] = {
        "",
        ":",
        "x",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "0.0.0.0:1",
        "10.0.0.1:1",
        "128.0.0.1:1",
        "[::]:1",
        "[fe80::1]:1",
        "[::1:1",
        "::1:1",
        "[]:1",
        "any",
        "any:",
        "anyone:1",
        "name:1",
        "localhost.me:1",
        "unix:",
        "unix:a",
        "[::ffff:1.2.3.4]:1",
        "[127.0.0.1]:1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct qyi_listener listener;
        ck_assert_msg(parse(&listener, texts[i]) != NULL, "taken: '%s'", texts[i]);
    }
}
END_TEST

START_TEST(test_a_path_may_have_the_process_in_it_and_must_fit)
{
    struct qyi_listener listener;
    char text[300] = "unix:/";
    char wanted[100];
    ck_assert_ptr_null(parse(&listener, "unix:/x%p.%p"));
    snprintf(wanted, sizeof wanted, "/x%d.%d", (int)getpid(), (int)getpid());
    ck_assert_str_eq(listener.address.path.sun_path, wanted);
    const size_t room = sizeof listener.address.path.sun_path - 1;
    memset(text + 5, '/', room);
    ck_assert_ptr_null(parse(&listener, text));
    text[5 + room] = '/';
    ck_assert_ptr_nonnull(parse(&listener, text));
    /* the text need not end where the value does */
    ck_assert_ptr_null(qyi_listen_parse(&listener, "unix:/abc", 7));
    ck_assert_str_eq(listener.address.path.sun_path, "/a");
}
END_TEST

START_TEST(test_a_picked_port_is_known)
{
    struct qyi_listener listener;
    ck_assert_ptr_null(parse(&listener, "127.0.0.1:0"));
    ck_assert(listener.picked);
    ck_assert_ptr_null(qyi_listen_open(&listener));
    ck_assert_int_ne(ntohs(listener.address.four.sin_port), 0);
    struct qyi_listener second;
    ck_assert_ptr_null(parse(&second, shown(&listener)));
    ck_assert_ptr_nonnull(qyi_listen_open(&second));
    ck_assert_int_eq(errno, EADDRINUSE);
    close(listener.fd);
}
END_TEST

START_TEST(test_a_path_is_ours_alone_and_is_taken_over_when_left)
{
    struct qyi_listener listener;
    struct qyi_listener second;
    struct stat status;
    char folder[] = "/tmp/quarry-test-XXXXXX";
    char text[100];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(text, sizeof text, "unix:%s/s", folder);
    const char *path = text + strlen("unix:");
    umask(0);
    ck_assert_ptr_null(parse(&listener, text));
    ck_assert_ptr_null(qyi_listen_open(&listener));
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFSOCK | 0600);
    ck_assert_ptr_null(parse(&second, text));
    ck_assert_ptr_nonnull(qyi_listen_open(&second)); /* somebody listens */
    ck_assert_int_eq(errno, EADDRINUSE);
    qyi_listen_remove(&second); /* never its own */
    ck_assert_int_eq(lstat(path, &status), 0);
    close(listener.fd);
    ck_assert_ptr_null(qyi_listen_open(&second)); /* nobody does any more */
    qyi_listen_remove(&second);
    ck_assert_int_ne(lstat(path, &status), 0);
    close(second.fd);
    const int file = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_ptr_nonnull(qyi_listen_open(&second)); /* no socket */
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISREG(status.st_mode));
    close(file);
    unlink(path);
    rmdir(folder);
}
END_TEST

/* ---- answers ---- */

static _Atomic bool ended;

struct served {
    struct qyi_http_client client;
};

static void *serve(void *argument)
{
    struct served *served = argument;
    qyi_http_answer(&served->client);
    close(served->client.fd);
    return NULL;
}

static char answer[1 << 20];

/* The answer to a request, whose sender then says no more. */
static const char *ask(const char *request, size_t length)
{
    int pair[2];
    pthread_t thread;
    size_t got = 0;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    require(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    struct served served = {.client = {.fd = pair[1], .ended = &ended}};
    require(pthread_create(&thread, NULL, serve, &served) == 0);
    if (send(pair[0], request, length, MSG_NOSIGNAL) == (ssize_t)length)
        shutdown(pair[0], SHUT_WR);
    for (;;) {
        const ssize_t part = read(pair[0], answer + got, sizeof answer - 1 - got);
        if (part <= 0)
            break;
        got += (size_t)part;
    }
    answer[got] = '\0';
    close(pair[0]);
    require(pthread_join(thread, NULL) == 0);
    return answer;
}

static const char *ask_text(const char *request)
{
    return ask(request, strlen(request));
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

START_TEST(test_every_request_gets_its_status)
{
    static const char *const requests[][2] = {
        {"GET / HTTP/1.1\r\n\r\n", "200"},
        {"HEAD / HTTP/1.0\n\n", "200"},
        {"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n", "200"},
        {"GET /stats.json?x HTTP/1.1\r\nHOST:\t localhost \r\n\r\n", "200"},
        {"GET http://x/metrics HTTP/1.1\r\n\r\n", "200"},
        {"GET http:// HTTP/1.1\r\n\r\n", "200"},
        {"GET /debug/pprof/heap HTTP/1.1\r\n\r\n", "404"},
        {"GET /debug/pprof HTTP/1.1\r\n\r\n", "404"},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: localhosts\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHostess: x\r\n\r\n", "200"},
        {"PUT / HTTP/1.1\r\n\r\n", "405"},
        {"GETS / HTTP/1.1\r\n\r\n", "405"},
        {"GET / HTTP/0.9\r\n\r\n", "505"},
        {"GET / http/1.1\r\n\r\n", "400"},
        {"GET x HTTP/1.1\r\n\r\n", "400"},
        {"GET / \r\n\r\n", "400"},
        {"GET\r\n\r\n", "400"},
        {"A\n\n", "400"},
        {"\n\n", "400"},
        {" GET / HTTP/1.1\r\n\r\n", "400"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        const char *got = ask_text(requests[i][0]);
        ck_assert_msg(begins(got, "HTTP/1.1 ") && begins(got + 9, requests[i][1]), "'%s' gets '%s'", requests[i][0],
                      got);
    }
}
END_TEST

START_TEST(test_the_length_is_that_of_the_body)
{
    static const char *const paths[] = {"/", "/metrics", "/stats.json", "/none"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char request[100];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n\r\n", paths[i]);
        const char *got = ask_text(request);
        const char *length = strstr(got, "Content-Length: ");
        const char *body = strstr(got, "\r\n\r\n");
        ck_assert(length != NULL && body != NULL && length < body);
        ck_assert_uint_eq(strtoul(length + 16, NULL, 10), strlen(body + 4));
        memcpy(request, "HEAD", 4);
        snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\n\r\n", paths[i]);
        got = ask_text(request);
        body = strstr(got, "\r\n\r\n");
        ck_assert(body != NULL && body[4] == '\0');
    }
}
END_TEST

START_TEST(test_half_a_request_gets_no_answer)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n";
    for (size_t length = 0; length < sizeof request - 1; length++)
        ck_assert_str_eq(ask(request, length), "");
}
END_TEST

START_TEST(test_a_request_that_is_too_long_is_refused)
{
    static char request[20000];
    memset(request, 'A', sizeof request);
    ck_assert(begins(ask(request, sizeof request), "HTTP/1.1 431 "));
    memcpy(request, "GET / HTTP/1.1\r\n", 16);
    memcpy(request + 8188, "\r\n\r\n", 4);
    ck_assert(begins(ask(request, sizeof request), "HTTP/1.1 200 "));
    memcpy(request + 8188, "AAAA", 4);
    memcpy(request + 8189, "\r\n\r\n", 4);
    ck_assert(begins(ask(request, sizeof request), "HTTP/1.1 431 "));
}
END_TEST

/* Bytes and words at random; whatever comes back is nothing, or one answer. */
START_TEST(test_noise_does_no_harm)
{
    static const char *const words[] = {"GET",      "HEAD",    " ",       "/",         "/metrics", "/debug/pprof/heap",
                                        "HTTP/1.1", "\r\n",    "\n",      "Host:",     "debug",    "=",
                                        "&",        "?",       "http://", "localhost", "[",        ":",
                                        "\t",       "\r\n\r\n"};
    uint64_t state = 1;
    for (unsigned round = 0; round < unit_rounds(3000); round++) {
        char request[3000];
        size_t length = 0;
        for (size_t left = unit_below(&state, 40); left > 0; left--) {
            const char *word = words[unit_below(&state, sizeof words / sizeof words[0])];
            memcpy(request + length, word, strlen(word));
            length += strlen(word);
        }
        for (size_t left = unit_below(&state, 4) == 0 ? unit_below(&state, 20) : 0; left > 0 && length > 0; left--)
            request[unit_below(&state, length)] = (char)unit_random(&state);
        const char *got = ask(request, length);
        ck_assert_msg(*got == '\0' || (begins(got, "HTTP/1.1 ") && strstr(got + 1, "HTTP/1.1 ") == NULL), "'%s'", got);
    }
}
END_TEST

START_TEST(test_who_does_not_read_is_left_when_the_thread_ends)
{
    int pair[2];
    pthread_t thread;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    require(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    struct served served = {.client = {.fd = pair[1], .ended = &ended}};
    atomic_store(&ended, true);
    require(pthread_create(&thread, NULL, serve, &served) == 0);
    require(pthread_join(thread, NULL) == 0); /* although nothing is sent, and nothing closed */
    close(pair[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *addresses = tcase_create("addresses");
    tcase_add_test(addresses, test_addresses_of_this_machine_are_taken);
    tcase_add_test(addresses, test_other_addresses_are_refused);
    tcase_add_test(addresses, test_a_path_may_have_the_process_in_it_and_must_fit);
    tcase_add_test(addresses, test_a_picked_port_is_known);
    tcase_add_test(addresses, test_a_path_is_ours_alone_and_is_taken_over_when_left);
    suite_add_tcase(suite, addresses);
    TCase *answers = tcase_create("answers");
    tcase_add_test(answers, test_every_request_gets_its_status);
    tcase_add_test(answers, test_the_length_is_that_of_the_body);
    tcase_add_test(answers, test_half_a_request_gets_no_answer);
    tcase_add_test(answers, test_a_request_that_is_too_long_is_refused);
    tcase_add_test(answers, test_noise_does_no_harm);
    tcase_add_test(answers, test_who_does_not_read_is_left_when_the_thread_ends);
    suite_add_tcase(suite, answers);
    return unit_run(suite);
}
