/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/follow.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include "workers/framing-request.h"
#include "workers/preload/io.h"
#include "workers/preload/secure.h"

/* Bytes of a request that are looked at. A longer head is never the worker's, and its first one is not followed. */
#define PEEK_MAX 16384

/* Time-outs of servers between two requests are longer than this. Most are given in seconds. */
#define FRESH_MSEC 500

/* How often to look what another thread does with a client, and the time in between. */
#define AWAIT_MAX 100
#define AWAIT_NSEC 1000000

/* The program has kept a client for a second request. A simple server may close each one, and never say so. */
static atomic_bool follow_keeps;

atomic_bool follow_is_used;
atomic_uint follow_n_leaving;
atomic_int follow_leaving[FOLLOW_LEAVING_MAX];
_Atomic(Follow *) follow_pages[FOLLOW_PAGES];

static Follow *follow_make_page(size_t i) {
        Follow *page, *other = NULL;

        page = mmap(NULL, FOLLOW_PAGE * sizeof(Follow), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return NULL;

        /* Another thread was faster. */
        if (!atomic_compare_exchange_strong(&follow_pages[i], &other, page)) {
                (void) munmap(page, FOLLOW_PAGE * sizeof(Follow));
                return other;
        }

        return page;
}

static Follow *follow_slot(int fd) {
        size_t i = (size_t) fd / FOLLOW_PAGE;
        Follow *page;

        if (fd < 0 || i >= FOLLOW_PAGES)
                return NULL;

        page = atomic_load_explicit(&follow_pages[i], memory_order_acquire);
        if (!page)
                page = follow_make_page(i);

        return page ? &page[(size_t) fd % FOLLOW_PAGE] : NULL;
}

/* Without a system call (vdso(7)). */
static uint64_t follow_now_msec(void) {
        struct timespec now = {};

        (void) clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
        return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}

/* The members before @bytes are small. The rest of a slot stays as it is, because it is large. */
static void follow_clear(Follow *f) {
        memset(&f->is_head, 0, offsetof(Follow, bytes) - offsetof(Follow, is_head));
        atomic_store_explicit(&f->is_gone, false, memory_order_relaxed);
        atomic_store_explicit(&f->is_idle, true, memory_order_relaxed);
        f->process = forks_process();
        f->n_forks = forks_count();
        f->epoll_fd = -EBADF;
}

bool follow_begin(int fd, uint64_t cookie, const uint8_t *message, size_t n, uint32_t *ret_generation) {
        Follow *f = NULL;
        Slice scope = {};
        size_t n_header;

        follow_forget(fd);
        if (!back_is_wanted())
                return false;

        f = follow_slot(fd);
        if (!f)
                return false;
        n_header = back_make_header(message, n, f->bytes, &scope);
        if (n_header == 0 || scope.n == 0 || scope.n > FDPASS_SCOPE_MAX)
                return false;

        follow_clear(f);
        f->fd = fd;
        f->cookie = cookie;
        f->idle_msec = follow_now_msec();
        f->n_header = (uint16_t) n_header;
        memcpy(f->bytes + n_header, scope.p, scope.n);
        (void) scope_decode((Slice){ f->bytes + n_header, scope.n }, &f->scope);

        atomic_store_explicit(&follow_is_used, true, memory_order_release);
        atomic_store_explicit(&f->is_on, true, memory_order_release);
        *ret_generation = f->scope.generation;
        return true;
}

bool follow_compare_first(int fd) {
        Follow *f = follow_find(fd);

        if (f)
                f->is_unseen = true;
        return f;
}

void follow_end(Follow *f) {
        atomic_store_explicit(&f->is_on, false, memory_order_release);
}

void follow_forget(int fd) {
        Follow *f = follow_find(fd);

        if (f)
                follow_end(f);
}

void follow_note_option(Follow *f, int level, int option, const void *value, socklen_t length) {
        int number;

        if (level == IPPROTO_TCP && (option == TCP_NODELAY || option == TCP_QUICKACK))
                return;

        if (level == IPPROTO_TCP && option == TCP_CORK && length == sizeof(number)) {
                memcpy(&number, value, sizeof(number));
                f->is_corked = number != 0;
        } else
                f->is_changed = true;
}

bool follow_is_gone(Follow *f, int fd) {
        if (!atomic_load_explicit(&f->is_gone, memory_order_acquire))
                return false;
        if (socket_cookie(fd) == f->cookie)
                return true;

        follow_end(f);
        return false;
}

/* The program gets a request. */
static void follow_begin_request(Follow *f, const HttpFacts *facts) {
        if (!framing_begin_head(&f->in, facts, &f->is_last)) {
                follow_end(f);
                return;
        }

        f->has_request = true;
        f->is_head = slice_equal(facts->method, SLICE_LITERAL("HEAD"));
}

/*
 * Hands the client back. epoll holds the open file, not the descriptor (epoll(7)): the program would get the events of
 * the next worker's requests after it has closed its descriptor. If the broker can't be reached, the connection is closed
 * between two requests, which a client has to expect (RFC 9112 section 9.5): a wrong worker must not answer it.
 */
static int follow_hand_back(Follow *f, int fd, Slice next, bool may_wait) {
        int r;

        if (socket_cookie(fd) != f->cookie) {
                follow_end(f);
                return FOLLOW_READ;
        }

        if (f->epoll_fd >= 0)
                (void) io_real.epoll_ctl(f->epoll_fd, EPOLL_CTL_DEL, fd, NULL);

        if (f->is_changed || f->is_corked)
                next = (Slice){};
        r = back_send(fd, f->bytes, f->n_header, next);
        if (r == -EAGAIN && may_wait && back_await_room())
                r = back_send(fd, f->bytes, f->n_header, next);
        if (r == 0)
                secure_forget(fd);
        else
                log_once(TOPIC_RETURN, "A client could not be handed back to %s: %s. Such clients are closed between two "
                                       "requests. Does the service have SupplementaryGroups=fdpass?",
                         back_path(), strerror(-r));

        atomic_store_explicit(&f->is_gone, true, memory_order_release);
        errno = 0; /* nginx logs it */
        return FOLLOW_CLOSED;
}

int follow_replace(Follow *f, int fd) {
        int pair[2], r = 0;

        if (f->is_replaced)
                return 0;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return -errno;

        secure_before_close(fd);
        if (io_real.dup3(pair[0], fd, O_CLOEXEC) < 0)
                r = -errno;
        (void) io_real.close(pair[0]);
        (void) io_real.close(pair[1]);
        if (r < 0)
                return r;

        f->cookie = socket_cookie(fd);
        f->is_replaced = true;
        return 0;
}

static bool follow_is_between_requests(const Follow *f) {
        return f->in.state == FRAMING_START && f->out.state == FRAMING_START && f->n_open == 0;
}

/* If another thread does the same, or takes the list, at this time, all clients are looked at. */
static void follow_note_leaving(const Follow *f) {
        unsigned n = atomic_load(&follow_n_leaving);

        if (n < FOLLOW_LEAVING_MAX)
                atomic_store(&follow_leaving[n], f->fd);
        if (n > FOLLOW_LEAVING_MAX || !atomic_compare_exchange_strong(&follow_n_leaving, &n, n + 1))
                atomic_store(&follow_n_leaving, FOLLOW_LEAVING_MAX + 1);
}

static void follow_note_idle(Follow *f) {
        if (!follow_is_between_requests(f))
                return;

        f->idle_msec = follow_now_msec();
        atomic_store_explicit(&f->is_idle, true, memory_order_release);
        if (follow_is_drained(f))
                follow_note_leaving(f);
}

bool follow_is_drained(const Follow *f) {
        return back_is_drained() || f->scope.is_drained;
}

bool follow_is_fresh(const Follow *f) {
        return atomic_load_explicit(&follow_keeps, memory_order_relaxed) && follow_now_msec() - f->idle_msec < FRESH_MSEC;
}

/* Returns true to the first caller of each pause between two requests, also if another thread asks. */
static bool follow_take_idle(Follow *f) {
        return atomic_exchange_explicit(&f->is_idle, false, memory_order_acq_rel);
}

void follow_note_shared(int fd) {
        Follow *f = follow_find(fd);

        if (f)
                f->is_shared = true;
}

/* A client of which nothing was read may have been accepted for a child. */
static bool follow_may_leave(const Follow *f) {
        return f->process == forks_process() && !f->is_last && !f->is_shared &&
               (f->has_request || f->n_forks == forks_count());
}

/* The rest of a response that the server holds back (TCP_CORK) is sent, because it can't send it later. */
bool follow_leave(Follow *f, int fd) {
        int off = 0;
        uint8_t byte;
        ssize_t n;

        if (!follow_may_leave(f) || !follow_take_idle(f))
                return false;

        n = io_real.recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
                return false;

        (void) real.setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
        return follow_hand_back(f, fd, (Slice){}, /* may_wait= */ true) == FOLLOW_CLOSED;
}

/* Takes TCP_CORK off, because the program can't send the rest later. Returns true if the client has sent nothing. */
static bool follow_is_silent(const Follow *f, int fd) {
        int off = 0;
        uint8_t byte;

        if (io_real.recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN ||
            socket_cookie(fd) != f->cookie)
                return false;

        (void) real.setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
        return true;
}

int follow_leave_idle(Follow *f, int fd) {
        int r;

        if (!follow_may_leave(f) || !follow_take_idle(f))
                return 0;

        r = follow_is_silent(f, fd) ? back_send(fd, f->bytes, f->n_header, (Slice){}) : 1;
        if (r != 0) {
                atomic_store_explicit(&f->is_idle, true, memory_order_release);
                return r < 0 ? r : 0;
        }

        if (f->epoll_fd >= 0)
                (void) io_real.epoll_ctl(f->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        secure_forget(fd);
        atomic_store_explicit(&f->is_gone, true, memory_order_release);
        return 1;
}

/*
 * Waits for another thread that has begun to hand the client back (follow_leave_idle()). Returns true if it could not, and
 * this thread has the next request.
 */
static bool follow_await_idle(Follow *f) {
        for (int i = 0; i < AWAIT_MAX; i++) {
                if (follow_take_idle(f))
                        return true;
                if (atomic_load_explicit(&f->is_gone, memory_order_acquire))
                        return false;
                (void) nanosleep(&(struct timespec){ .tv_nsec = AWAIT_NSEC }, NULL);
        }

        return false;
}

/* Returns the whole head that the bytes begin with; n is 0: they don't. */
static Slice follow_head(Slice bytes) {
        const uint8_t *end = memmem(bytes.p, bytes.n, "\r\n\r\n", 4);

        return end ? (Slice){ bytes.p, (size_t) (end - bytes.p) + 4 } : (Slice){};
}

/* The size of its buffer makes this a function of its own: most reads don't get here. */
__attribute__((noinline)) static int follow_peek(Follow *f, int fd, int flags) {
        uint8_t bytes[PEEK_MAX];
        HttpFacts facts;
        bool is_head;
        ssize_t n;

        n = io_real.recv(fd, bytes, sizeof(bytes), MSG_PEEK | (flags & MSG_DONTWAIT));
        if (n < 0) {
                if (errno == EAGAIN || errno == EINTR)
                        return FOLLOW_WAIT;
                if (errno == ENOTSOCK)
                        follow_end(f);
                return FOLLOW_READ;
        }
        if (n == 0)
                return FOLLOW_READ;

        /* Another thread ends the process, or hands idle clients back. */
        if (!follow_take_idle(f) && !follow_await_idle(f))
                return FOLLOW_CLOSED;
        if (f->has_request && !atomic_load_explicit(&follow_keeps, memory_order_relaxed))
                atomic_store_explicit(&follow_keeps, true, memory_order_relaxed);

        is_head = probe_http1(bytes, (size_t) n, PEEK_MAX, &facts) == PROBE_MATCH;
        if ((f->has_request || f->is_unseen) && !(is_head && scope_covers_request(&f->scope, &facts)))
                return follow_hand_back(f, fd, follow_head((Slice){ bytes, (size_t) n }), /* may_wait= */ false);

        if (is_head)
                follow_begin_request(f, &facts);
        else
                follow_end(f);
        return FOLLOW_READ;
}

int follow_before_read(Follow *f, int fd, int flags) {
        if (follow_is_gone(f, fd)) {
                errno = 0;
                return FOLLOW_CLOSED;
        }

        return follow_is_between_requests(f) && !(flags & MSG_PEEK) ? follow_peek(f, fd, flags) : FOLLOW_READ;
}

size_t follow_limit(const Follow *f, size_t size) {
        size_t n = f->n_open < 0 ? framing_min_left(&f->in) : 0;

        return n > 0 && n < size ? n : size;
}

void follow_rearm(Follow *f, int fd) {
        int saved_errno = errno;

        if (f->epoll_fd >= 0 && f->event.events & EPOLLET && !(f->event.events & EPOLLONESHOT))
                (void) io_real.epoll_ctl(f->epoll_fd, EPOLL_CTL_MOD, fd, &f->event);
        errno = saved_errno;
}

/* Bytes behind a request in the same read, or before the response to the last one, are pipelined. */
void follow_on_read(Follow *f, const void *p, size_t n) {
        const uint8_t *next = p;
        int r;

        /* Only follow_begin_request() leaves this state. */
        if (f->in.state == FRAMING_START) {
                follow_end(f);
                return;
        }

        r = framing_feed(&f->in, &next, &n, /* is_head= */ false);
        if (r == FRAMING_END) {
                f->n_open++;
                follow_note_idle(f);
        }
        if (r < 0 || n > 0)
                follow_end(f);
}

void follow_on_written(Follow *f, const void *p, size_t n) {
        const uint8_t *next = p;

        while (n > 0) {
                int r = framing_feed(&f->out, &next, &n, f->is_head);

                if (r < 0) {
                        follow_end(f);
                        return;
                }
                if (r == FRAMING_END)
                        f->n_open--;
        }
        follow_note_idle(f);
}

void follow_on_sent(Follow *f, size_t n) {
        int r = framing_skip(&f->out, n);

        if (r < 0)
                follow_end(f);
        else if (r == FRAMING_END) {
                f->n_open--;
                follow_note_idle(f);
        }
}
