/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every system call of the broker, and every allocation, fails: the first time, the second, and so on; and all the
 * time for a while. Each time the same clients come, in a process of its own, and must be accounted for.
 */

#include "broker-fixture.h"
#include "fault-injection.h"

#include <arpa/inet.h>
#include <sys/wait.h>

#include "broker/handback.h"
#include "handoff/message.h"

#define N_CHILDREN 6 /* at a time */

/* While the fault lasts: the time until all are where they wait, and then the time in which wake-ups are counted. */
#define SETTLE_USEC (400 * USEC_PER_MSEC)
#define COUNT_USEC (1 * USEC_PER_SEC)
#define WAKEUPS_MAX 16 /* looks for receipts every 100 to 200 ms, and attempts every 250 ms for two senders; no spinning */
#define LINES_MAX 2 /* in 10 s, one about those who come, and one about those who are to go on */

/* After it. A worker is tried again after 1 s at the latest; the rest is for a busy machine. */
#define RECOVERY_USEC (2 * USEC_PER_SEC)

/* In a child, cmocka can't be told. */
#define CHECK(condition)                                                                      \
        do {                                                                                  \
                if (!(condition)) {                                                           \
                        fprintf(stderr, "%s %s, %u to %u: line %d: %s\n", calls[what.call].name, \
                                strerrorname_np(what.error), what.first, what.last, __LINE__, #condition); \
                        describe();                                                           \
                        _exit(1);                                                             \
                }                                                                             \
        } while (false)

/* The fault that this process is about. */
static struct {
        Call call;
        int error;
        unsigned first, last;
} what;

typedef enum Kind {
        SIMPLE,   /* its head is there at once, for a stream worker */
        SECOND,   /* the same, for the same worker, which takes one at a time: it waits in the queue */
        HALVES,   /* … in two pieces, for one of Receipt=ack, which refuses it at first */
        FIRST,    /* for a worker with a persistent connection */
        NEXT,     /* comes on that connection */
        WRONG,    /* is answered with 400 */
        LEAVES,   /* goes before its head is whole */
        PARKED,   /* was handed back, and then says its request */
        NAMED,    /* was handed back for a route, with bytes that a worker has read */
        N_KINDS,
} Kind;

static const char *const hosts[N_KINDS] = { "a", "a", "b", "k", "k", "", "a", "a", "b" };

typedef struct Visitor {
        int fd;
        Kind kind;
        int conn_fd;        /* on which it was handed back, until there is an answer */
        int kept_fd;        /* the copy of the worker that handed it back */
        bool said;          /* all of its request */
        unsigned n_taken;   /* how many workers have had it */
        bool was_refused;   /* by the worker */
        bool refused;
        bool ended;
} Visitor;

static Visitor visitors[N_KINDS + 1];
static int worker_fds[3];
static int kept_fd = -EBADF; /* the last persistent connection */
static uint16_t n_kept;      /* clients that came on it */
static struct sockaddr_in port;
static unsigned n_wakeups, n_kept_back;

static void describe(void) {
        fprintf(stderr, "  accepted %lu handed %lu reset %lu refused %lu returned %lu gone %lu; in the broker %zu; kept %u\n",
                n_accepted(), n_taken(), n_unread(), n_refused_in_all(), n_returned(), n_gone(), n_in_broker(), n_kept_back);
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++)
                fprintf(stderr, "  visitor %zu: fd %d said %d taken %u refused %d ended %d conn %d\n", i, visitors[i].fd,
                        visitors[i].said, visitors[i].n_taken, visitors[i].refused, visitors[i].ended, visitors[i].conn_fd);
}

static int dial_tcp(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        CHECK(fd >= 0 && connect(fd, (struct sockaddr *) &port, sizeof(port)) == 0);
        return fd;
}

static void visitor_say(const Visitor *v, const char *text) {
        /* A client on which an option can't be undone is refused, and its connection may have ended. */
        CHECK(send(v->fd, text, strlen(text), MSG_NOSIGNAL) > 0 || what.call == CALL_setsockopt);
}

/* A request that begins so, to the end of its head. */
static void visitor_say_head(const Visitor *v, const char *start) {
        char text[128];

        (void) snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: %s\r\nX: %c\r\n\r\n", start, hosts[v->kind],
                        (int) ('a' + (v - visitors)));
        visitor_say(v, text);
}

/* As a worker does that is done with a request. */
static void hand_back(Visitor *v) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        uint8_t header[FDPASS_HEADER_MAX];
        Message m = MESSAGE_NULL;
        struct sockaddr_un sun;
        char path[64], head[128];
        size_t n;

        CHECK(bind(listener, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(listener, 1) == 0);
        CHECK(getsockname(listener, (struct sockaddr *) &sin, &len) == 0);
        v->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(v->fd, (struct sockaddr *) &sin, sizeof(sin)) == 0);
        v->kept_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        fd_close(listener);

        m.listener = SLICE_LITERAL("tcp");
        if (v->kind == NAMED) {
                (void) snprintf(head, sizeof(head), "GET /%c HTTP/1.1\r\n\r\n", (int) ('a' + (v - visitors)));
                m.name = SLICE_LITERAL("named");
                m.consumed = slice_from_string(head);
        }

        path_of("return", path);
        CHECK(address_from_path(path, &sun, &len) == 0);
        v->conn_fd = handoff_connect_type(&sun, len, SOCK_SEQPACKET);
        CHECK(v->conn_fd >= 0);
        CHECK(message_encode(&m, header, sizeof(header), &n) == 0);
        CHECK(handoff_send_message(v->conn_fd, (Slice){ header, n }, m.consumed, v->kept_fd) == 0);
}

static void begin(Kind kind, size_t i) {
        Visitor *v = &visitors[i];

        *v = (Visitor){ .kind = kind, .fd = -EBADF, .conn_fd = -EBADF, .kept_fd = -EBADF };
        if (kind == PARKED || kind == NAMED) {
                hand_back(v);
                v->said = kind == NAMED;
                return;
        }

        v->fd = dial_tcp();
        v->said = kind != HALVES && kind != NEXT;
        if (kind == WRONG)
                visitor_say(v, "GET / HTTP/9\r\n\r\n");
        else if (kind == HALVES || kind == NEXT || kind == LEAVES)
                visitor_say(v, "GET /");
        else
                visitor_say_head(v, "GET /");
}

/* The broker's answer to a client that came back: it has it, or the worker still does. */
static void look_at_answer(Visitor *v) {
        Receipt receipt = v->conn_fd >= 0 ? handoff_receipt(v->conn_fd, false) : RECEIPT_NONE;

        if (receipt == RECEIPT_NONE)
                return;

        v->conn_fd = fd_close(v->conn_fd);
        v->kept_fd = fd_close(v->kept_fd);
        if (receipt == RECEIPT_TAKEN || receipt == RECEIPT_CLOSED)
                return;

        n_kept_back++;
        v->refused = true;
}

/* The second piece comes once the broker has seen the first; of a parked one, that is its request. */
static bool may_go_on(const Visitor *v) {
        if (v->kind == PARKED)
                return v->conn_fd < 0;

        return v->kind == HALVES ? n_accepted() > 0 : visitors[FIRST].ended;
}

static void look_at_visitor(Visitor *v) {
        char buffer[512] = "";
        ssize_t n;

        if (v->ended || v->fd < 0)
                return;

        look_at_answer(v);

        if (!v->said && !v->refused && may_go_on(v)) {
                v->said = true;
                visitor_say_head(v, v->kind == PARKED ? "GET /" : "");
        } else if (v->kind == LEAVES && n_accepted() >= 7) {
                v->fd = fd_close(v->fd);
                v->ended = true;
                return;
        }

        n = recv(v->fd, buffer, sizeof(buffer) - 1, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
                return;
        if (n > 0) {
                v->refused = v->refused || startswith(buffer, "HTTP/1.1 ");
                return;
        }

        v->ended = true;
        v->fd = fd_close(v->fd);
}

/* Which one it is stands behind "X: " or, of what a worker has read, in the path. */
static Visitor *find_visitor(const char *text) {
        const char *p = strstr(text, "X: ");
        size_t i;

        p = p ? p + 3 : text + strlen("GET /");
        i = (size_t) (*p - 'a');
        CHECK(i < ELEMENTSOF(visitors));
        return &visitors[i];
}

static void serve(Visitor *v, int conn_fd, int client_fd) {
        char request[512];

        if (v->kind == HALVES && !v->was_refused) {
                v->was_refused = true;
                CHECK(handoff_answer(conn_fd, FDPASS_ANSWER_REFUSED) == 0);
                fd_close(client_fd);
                return;
        }

        if (v->kind == HALVES || v->kind == NAMED) /* Receipt=ack */
                CHECK(handoff_answer(conn_fd, FDPASS_ANSWER_TAKEN) == 0);
        v->n_taken++;
        CHECK(send(client_fd, "ok", 2, MSG_NOSIGNAL) == 2);
        (void) !recv(client_fd, request, sizeof(request), MSG_DONTWAIT); /* no reset */
        fd_close(client_fd);
}

static void look_at_worker(int worker) {
        int conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC), client = -EBADF, r;
        uint8_t bytes[4096];
        char text[512] = "";
        Message m;
        size_t n;

        if (conn < 0)
                return;

        r = handoff_receive_message(conn, MSG_DONTWAIT, bytes, sizeof(bytes), &n, &client);
        if (r == 0 && n > 1) {
                CHECK(message_decode(bytes, n, &m) == 0);
                (void) snprintf(text, sizeof(text), "%.*s", (int) m.consumed.n, m.consumed.n > 0 ? (const char *) m.consumed.p : "");
        }
        if (r == 0) {
                CHECK(!(fcntl(client, F_GETFL) & O_NONBLOCK));
                if (!text[0])
                        CHECK(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_PEEK) > 0);
                serve(find_visitor(text), conn, client);
        }
        fd_close(conn);
}

/* The one that keeps its connection. */
static void look_at_keeper(int worker) {
        int conn = accept4(worker, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), fds[FDPASS_PERSISTENT_MAX], r;
        size_t n, n_fds = ELEMENTSOF(fds);
        uint8_t bytes[FDPASS_HEADER_MAX];

        if (conn >= 0) {
                fd_close(kept_fd);
                kept_fd = conn;
                n_kept = 0;
        }
        if (kept_fd < 0)
                return;

        r = handoff_receive_batch(kept_fd, MSG_DONTWAIT, bytes, sizeof(bytes), &n, fds, &n_fds);
        if (r == -EAGAIN)
                return;
        if (r != 0) {
                kept_fd = fd_close(kept_fd);
                return;
        }

        for (size_t i = 0; i < n_fds; i++) {
                char text[512] = "";

                CHECK(recv(fds[i], text, sizeof(text) - 1, MSG_DONTWAIT | MSG_PEEK) > 0);
                serve(find_visitor(text), -EBADF, fds[i]);
        }

        n_kept = (uint16_t) (n_kept + n_fds);
        if (handoff_answer_persistent(kept_fd, FDPASS_ANSWER_TAKEN, (uint16_t) (n_kept - n_fds), (uint16_t) n_fds,
                                (uint16_t) (n_kept + 4)) < 0)
                kept_fd = fd_close(kept_fd);
}

static void turn(usec_t span) {
        int r;

        poll_every_other_turn();
        fault_enter();
        r = broker_turn(t.broker, 0);
        if (r == 0) { /* now it sleeps */
                r = broker_turn(t.broker, span);
                n_wakeups += r > 0;
        }
        fault_leave();
        CHECK(r >= 0);

        for (size_t i = 0; i < 2; i++)
                look_at_worker(worker_fds[i]);
        look_at_keeper(worker_fds[2]);
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++)
                look_at_visitor(&visitors[i]);
}

static bool all_ended(void) {
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++)
                if (visitors[i].fd >= 0 && !visitors[i].ended)
                        return false;

        return n_in_broker() == 0;
}

static void pass_time(usec_t span) {
        for (usec_t end = usec_now() + span, now; (now = usec_now()) < end;)
                turn(MIN(end - now, 5 * USEC_PER_MSEC));
}

static bool run_until_ended(usec_t span) {
        usec_t end = usec_now() + span;

        while (!all_ended() && usec_now() < end)
                turn(5 * USEC_PER_MSEC);

        return all_ended();
}

static void prepare(void) {
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sin);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 128) == 0);
        CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
        CHECK(broker_add_listener(t.broker, "tcp", fd) == 0);
        port = sin;

        worker_fds[0] = listen_at("a", 64);
        worker_fds[1] = listen_type_at("b", SOCK_SEQPACKET, 64);
        worker_fds[2] = listen_type_at("other", SOCK_SEQPACKET, 64);
        CHECK(handback_listen(t.broker, "return", listen_type_at("return", SOCK_SEQPACKET, 64)) == 0);
        USE({ .unit = "a.socket", .worker = "a", .host = "a", .max_pending = 1 },
            { .unit = "b.socket", .worker = "b", .host = "b", .transport = TRANSPORT_SEQPACKET, .receipt = RECEIPT_BY_ACK },
            { .unit = "k.socket", .worker = "other", .host = "k", .transport = TRANSPORT_SEQPACKET },
            { .unit = "n.socket", .worker = "b", .name = "named", .transport = TRANSPORT_SEQPACKET });
        n_kept_back = n_wakeups = 0;
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++)
                visitors[i] = (Visitor){ .fd = -EBADF, .conn_fd = -EBADF, .kept_fd = -EBADF };
}

static void done(void) {
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++) {
                fd_close(visitors[i].fd);
                fd_close(visitors[i].conn_fd);
                fd_close(visitors[i].kept_fd);
        }
        for (size_t i = 0; i < ELEMENTSOF(worker_fds); i++)
                fd_close(worker_fds[i]);
        kept_fd = fd_close(kept_fd);
}

/* No client is lost: it was handed over, refused, or left by itself. No client was handed to two workers. */
static void account(void) {
        CHECK(is_account_even() && n_in_broker() == 0);
        CHECK(n_gone() <= 1 || what.error == ENOTCONN); /* the one that leaves, or those that seem to have left */
        for (size_t i = 0; i < ELEMENTSOF(visitors); i++)
                CHECK(visitors[i].n_taken <= 1);
}

static void meet(size_t i) {
        begin(SIMPLE, i);
        CHECK(run_until_ended(RECOVERY_USEC));
        CHECK(visitors[i].n_taken == 1);
}

/* Returns whether the call was made often enough to fail. */
static bool fail_once(unsigned n) {
        what.first = what.last = n;
        prepare();
        fault_set(what.call, what.error, n, n);
        for (size_t k = 0; k < N_KINDS; k++)
                begin((Kind) k, k);
        CHECK(run_until_ended(RECOVERY_USEC));
        fault_end();
        meet(N_KINDS);
        account();
        done();
        return fault.n_failed > 0;
}

/*
 * An event that the kernel has told and a call that then finds nothing: that happens, but not again and again. And
 * recv(2) needs nothing that could be out; an odd word from it must only not lose anybody.
 */
static bool never_for_long(Call call, int error) {
        return call == CALL_recv || ((error == EAGAIN || error == EINTR || error == ECONNABORTED) &&
                                     !(error == EAGAIN && (call == CALL_connect || call == CALL_sendmsg)));
}

static void fail_for_a_while(void) {
        unsigned n_lines = 0;
        char text[8192] = "";
        int log[2];

        what.first = 1;
        what.last = UINT32_MAX;
        prepare();
        CHECK(pipe2(log, O_CLOEXEC | O_NONBLOCK) == 0);
        int err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        (void) dup2(log[1], STDERR_FILENO);
        log_set_level(t.log, LOG_WARNING);

        fault_set(what.call, what.error, 1, UINT32_MAX);
        for (size_t k = 0; k < N_KINDS; k++)
                begin((Kind) k, k);
        pass_time(SETTLE_USEC);
        n_wakeups = 0;
        pass_time(COUNT_USEC);

        log_set_level(t.log, LOG_EMERG);
        (void) dup2(err, STDERR_FILENO);
        fd_close(err);
        fd_close(log[1]);
        (void) !read(log[0], text, sizeof(text) - 1);
        fd_close(log[0]);
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                n_lines++;
        if (n_lines > LINES_MAX)
                fprintf(stderr, "%s", text);

        CHECK(n_wakeups <= WAKEUPS_MAX);
        CHECK(n_lines <= LINES_MAX);
        fault_end();
        CHECK(run_until_ended(RECOVERY_USEC));
        meet(N_KINDS);
        account();
        done();
}

static pid_t in_child(void (*f)(void)) {
        pid_t pid;

        fflush(NULL);
        pid = fork();
        if (pid == 0) {
                f();
                fflush(NULL);
                _exit(0);
        }

        assert_true(pid > 0);
        return pid;
}

static void all_once(void) {
        bool was_made = true;

        for (unsigned n = 1; was_made; n++) {
                void *state;

                CHECK(setup(&state) == 0);
                was_made = fail_once(n);
                CHECK(teardown(&state) == 0);
        }

        if (what.first < 2 && getenv("FDPASS_TEST_VERBOSE"))
                fprintf(stderr, "%s is never called\n", calls[what.call].name);
}

static void all_the_time(void) {
        void *state;

        CHECK(setup(&state) == 0);
        fail_for_a_while();
        CHECK(teardown(&state) == 0);
}

/* Sets a broker up, as fdpassd does. What fails leaves nothing behind, and a failed reload leaves what was. */
static void set_up(void) {
        const RouteSpec specs[] = { { .unit = "a.socket", .worker = "a", .host = "a" },
                                    { .unit = "b.socket", .worker = "b", .path = "/b", .prefix = "x", .name = "n" } };
        int fds[] = { listen_at("public", 8), listen_type_at("return", SOCK_SEQPACKET, 8) }, r;
        Config *configs[] = { config_of(specs, 1), config_of(specs, 2) };

        fault_enter();
        r = broker_new(t.event, t.log, N_FDS, &t.broker);
        if (r >= 0) {
                r = broker_add_listener(t.broker, "public", fds[0]);
                if (r >= 0)
                        fds[0] = -EBADF;
        }
        if (r >= 0) {
                r = handback_listen(t.broker, "return", fds[1]);
                if (r >= 0)
                        fds[1] = -EBADF;
        }
        for (size_t i = 0; i < ELEMENTSOF(configs) && r >= 0; i++) {
                const void *before = routing();

                r = broker_set_config(t.broker, configs[i]);
                if (r >= 0)
                        configs[i] = NULL;
                else
                        CHECK(routing() == before);
        }
        t.broker = broker_free(t.broker);
        fault_leave();

        /* A path that can't be compared, or a flag that is set already, is no reason not to begin. */
        CHECK((r < 0) == (fault.n_failed > 0) || what.call == CALL_fcntl || what.call == CALL_getsockname ||
              what.call == CALL_setsockopt || what.call == CALL_stat);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fd_close(fds[i]);
        for (size_t i = 0; i < ELEMENTSOF(configs); i++)
                config_free(configs[i]);
}

static void set_up_once(void) {
        for (unsigned n = 1; n == 1 || fault.n_failed > 0; n++) {
                void *state;

                CHECK(setup(&state) == 0);
                t.broker = broker_free(t.broker);
                what.first = what.last = n;
                fault_set(what.call, what.error, n, n);
                set_up();
                CHECK(teardown(&state) == 0);
        }
}

static unsigned n_running, n_bad;

static void reap(unsigned limit) {
        int status;

        for (; n_running > limit; n_running--) {
                assert_true(wait(&status) > 0);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        n_bad++;
        }
}

static void for_each_fault(void (*f)(void), bool for_long) {
        n_bad = 0;
        for (what.call = 0; what.call < _CALL_MAX; what.call++)
                for (const int *e = calls[what.call].errors; *e; e++) {
                        what.error = *e;
                        if (for_long && never_for_long(what.call, what.error))
                                continue;
                        reap(N_CHILDREN - 1);
                        (void) in_child(f);
                        n_running++;
                }
        reap(0);
        assert_int_equal(n_bad, 0);
}

static void test_once(void **state) {
        for_each_fault(all_once, false);
}

static void test_set_up(void **state) {
        for_each_fault(set_up_once, false);
}

static void test_for_a_while(void **state) {
        for_each_fault(all_the_time, true);
}

TEST_MAIN(cmocka_unit_test(test_set_up),
          cmocka_unit_test(test_once),
          cmocka_unit_test(test_for_a_while))
