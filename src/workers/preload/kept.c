/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/kept.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>

#include "workers/preload/io.h"
#include "workers/preload/place.h"

/*
 * Pause after the program has stopped waiting for its listener. nginx with "accept_mutex on" does so all the time. Each
 * time the broker would have to give clients to other processes.
 */
#define PAUSE_SEC 1

/* Clients in a row that come from kept connections before the listener has its turn. */
#define STREAK_MAX 16

Kept kept[KEPT_MAX];
atomic_uint n_kept;

static atomic_bool is_wanted;
static atomic_uint streak;
static _Atomic(time_t) stopped_at; /* CLOCK_MONOTONIC; 0: never */

static time_t kept_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/* The number is no longer ours when it is closed, because the wrapper of close(2) looks for it. */
static void kept_close(int *fd) {
        int closed = take_fd(fd);

        close_at(&closed);
}

static void kept_close_door(KeptDoor *d, bool is_parent) {
        if (d->cookie == 0)
                return;

        /* The parent's copy keeps the registration alive, and a child has none of its own (epoll(7)). */
        if (is_parent)
                (void) io_real.epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, d->event_fd, NULL);
        d->cookie = 0;
        kept_close(&d->event_fd);
}

/* Closes all, with the clients that the program did not accept. They have no answer, so the broker sends them again. */
static void kept_free(Kept *k, bool is_parent) {
        for (size_t i = 0; i < k->n_clients; i++)
                kept_close(&k->clients[i].fd);
        k->n_clients = 0;

        if (is_parent)
                (void) io_real.epoll_ctl(k->doors[0].epoll_fd, EPOLL_CTL_DEL, k->fd, NULL);
        kept_close(&k->fd);
        for (size_t i = 0; i < 2; i++)
                kept_close_door(&k->doors[i], is_parent);

        atomic_store(&k->is_used, false);
        atomic_store(&k->is_ending, false);
        (void) atomic_fetch_sub(&n_kept, 1);
}

bool kept_lock(Kept *k) {
        return atomic_load(&k->is_used) && !atomic_exchange(&k->is_busy, true);
}

void kept_unlock(Kept *k) {
        do {
                if (atomic_load(&k->is_ending) && atomic_load(&k->is_used))
                        kept_free(k, /* is_parent= */ true);
                atomic_store(&k->is_busy, false);
        } while (atomic_load(&k->is_ending) && kept_lock(k));
}

/* A thread may be cancelled in between (pthread_cancel(3)). */
static void kept_unlock_at(Kept **k) {
        if (*k)
                kept_unlock(*k);
}

#define _cleanup_unlock_ __attribute__((cleanup(kept_unlock_at)))

void kept_end(Kept *k) {
        atomic_store(&k->is_ending, true);
        if (kept_lock(k))
                kept_unlock(k);
}

void kept_stop(Kept *k) {
        atomic_store(&stopped_at, kept_now());
        kept_end(k);
}

/* In the child after fork(2), whose thread is the only one. */
static void kept_in_child(void) {
        int saved_errno = errno;

        place_forget_all();
        for (size_t i = 0; i < KEPT_MAX; i++) {
                if (atomic_load(&kept[i].is_used))
                        kept_free(&kept[i], /* is_parent= */ false);
                atomic_store(&kept[i].is_busy, false);
                atomic_store(&kept[i].is_ending, false);
        }
        errno = saved_errno;
}

void kept_init(void) {
        const char *value = getenv("FDPASS_PERSISTENT");

        if (value && strcmp(value, "no") == 0)
                return;
        if (value && strcmp(value, "yes") != 0)
                log_fatal("FDPASS_PERSISTENT=%s is neither \"yes\" nor \"no\".", value);

        /* Without the handler a child would hold the connection, and the broker would not see that its parent is gone. */
        atomic_store(&is_wanted, pthread_atfork(NULL, NULL, kept_in_child) == 0);
}

struct epoll_event kept_event(const struct epoll_event *event) {
        struct epoll_event ours = *event;

        ours.events &= ~(uint32_t) EPOLLEXCLUSIVE;
        return ours;
}

/* Makes the eventfd of a door, and adds it to where the program waits for the listener. */
static int kept_open_door(KeptDoor *d, uint64_t cookie, int listener_fd) {
        _cleanup_close_ int fd = -EBADF;
        struct epoll_event event;
        Place place;

        if (cookie == 0 || !place_find(listener_fd, &place))
                return -ENOENT;

        fd = move_up_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        event = kept_event(&place.event);
        if (fd < 0 || io_real.epoll_ctl(place.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return -errno;

        *d = (KeptDoor){ .cookie = cookie, .listener_fd = listener_fd, .epoll_fd = place.epoll_fd, .event = event,
                         .event_fd = take_fd(&fd) };
        return 0;
}

static bool kept_open_doors(Kept *k, int listener_fd, const WorkerSocket *w) {
        uint64_t other;
        int other_fd;

        if (kept_open_door(&k->doors[0], w->cookie, listener_fd) < 0)
                return false;
        if (w->sender_fd == 0)
                return true;

        other_fd = passed_find_second(w->cookie, &other);
        if (kept_open_door(&k->doors[1], other, other_fd) == 0)
                return true;

        kept_close_door(&k->doors[0], /* is_parent= */ true);
        return false;
}

/* Fills in a slot that this thread has. Returns false if the program does not wait for all of its listeners. */
static bool kept_open(Kept *k, int conn_fd, pid_t sender, int listener_fd, const WorkerSocket *w) {
        if (!k->bytes) {
                void *p = mmap(NULL, FDPASS_HEADER_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

                if (p == MAP_FAILED)
                        return false;
                k->bytes = p;
        }

        if (!kept_open_doors(k, listener_fd, w))
                return false;

        k->fd = move_up_fd(conn_fd);
        if (io_real.epoll_ctl(k->doors[0].epoll_fd, EPOLL_CTL_ADD, k->fd, &k->doors[0].event) < 0) {
                kept_close(&k->fd);
                for (size_t i = 0; i < 2; i++)
                        kept_close_door(&k->doors[i], /* is_parent= */ true);
                return true;
        }

        k->pid = getpid();
        k->sender = sender;
        k->n_received = 1;
        k->n_answered = 0;
        (void) atomic_fetch_add(&n_kept, 1);
        atomic_store(&k->is_used, true);

        /* The client that came with the connection. The broker may send the next ones from here on. */
        kept_answer(k, FDPASS_ANSWER_TAKEN, 0, 1);
        return true;
}

/* Returns a free slot, or NULL if there is none, or if this sender has a connection already. */
static Kept *kept_find_slot(pid_t sender, const WorkerSocket *w) {
        Kept *found = NULL;

        for (size_t i = 0; i < KEPT_MAX; i++) {
                if (!atomic_load(&kept[i].is_used))
                        found = &kept[i];
                else if (kept[i].sender == sender && kept[i].doors[0].cookie == w->cookie)
                        return NULL;
        }

        return found;
}

/* Takes a slot for the connection, unless another thread does the same at this time. */
static bool kept_fill_slot(int conn_fd, pid_t sender, int listener_fd, const WorkerSocket *w) {
        static atomic_flag is_beginning = ATOMIC_FLAG_INIT;
        bool is_kept = false;
        Kept *k;

        if (atomic_flag_test_and_set(&is_beginning))
                return false;

        k = kept_find_slot(sender, w);
        if (k && !atomic_exchange(&k->is_busy, true)) {
                is_kept = kept_open(k, conn_fd, sender, listener_fd, w);
                kept_unlock(k);
        }

        atomic_flag_clear(&is_beginning);
        return is_kept;
}

bool kept_begin(int conn_fd, int listener_fd, const WorkerSocket *w) {
        time_t stopped = atomic_load(&stopped_at);
        struct ucred sender = {};
        socklen_t length = sizeof(sender);
        WorkerSocket first;

        if (!atomic_load(&is_wanted) || (stopped != 0 && kept_now() - stopped <= PAUSE_SEC))
                return false;

        /* Messages come to the first of two listeners, because only that one is the worker's socket. */
        if (w->is_pair) {
                listener_fd = passed_find_first(w->cookie);
                if (listener_fd < 0 || !worker_socket_find(listener_fd, &first))
                        return false;
                w = &first;
        }

        return place_is_noted(listener_fd) && is_nonblocking(listener_fd) &&
               real.getsockopt(conn_fd, SOL_SOCKET, SO_PEERCRED, &sender, &length) >= 0 &&
               kept_fill_slot(conn_fd, sender.pid, listener_fd, w);
}

/* Takes a client from a connection, which may have to receive a message first. Returns as kept_give() does. */
static int kept_take(Kept *k, size_t door, const WorkerSocket *w, bool is_cloexec, ClientInfo *ret_info, int *ret_fd) {
        int r;

        /* The program has bound a listener of the other family since. */
        if (w->sender_fd > 0 && k->doors[1].cookie == 0)
                return -EPIPE;

        if (door == 0 && k->doors[0].n_waiting == 0 && k->doors[1].n_waiting == 0) {
                k->doors[0].is_to_look = false;
                kept_raise(&k->doors[0]);
                r = kept_receive(k, w, is_cloexec);
                if (r < 0)
                        return r;
        }

        r = kept_give(k, door, ret_info, ret_fd);
        if (r == 0 && k->is_cloexec != is_cloexec)
                (void) fcntl(*ret_fd, F_SETFD, is_cloexec ? FD_CLOEXEC : 0);
        return r;
}

/*
 * Locks a connection for accept(). A thread that has it looks again before it tells the program that there is no client:
 * the event that brought this thread here may come once only (EPOLLET).
 */
static bool kept_lock_or_tell(Kept *k) {
        if (kept_lock(k))
                return true;

        atomic_store(&k->is_missed, true);
        return kept_lock(k);
}

static int kept_accept_from(Kept *k, const WorkerSocket *w, bool is_cloexec, ClientInfo *ret_info, int *ret_fd) {
        _cleanup_unlock_ Kept *locked = kept_lock_or_tell(k) ? k : NULL;
        int r = -EAGAIN;

        if (!locked)
                return -EAGAIN;

        atomic_store(&k->is_missed, false);
        if (k->doors[0].cookie == w->cookie)
                r = kept_take(k, 0, w, is_cloexec, ret_info, ret_fd);
        else if (k->doors[1].cookie == w->cookie)
                r = kept_take(k, 1, w, is_cloexec, ret_info, ret_fd);

        if (r != -EPIPE)
                return r;

        atomic_store(&k->is_ending, true);
        return -EAGAIN;
}

bool kept_is_other_turn(void) {
        if (atomic_load_explicit(&streak, memory_order_relaxed) < STREAK_MAX)
                return false;

        atomic_store_explicit(&streak, 0, memory_order_relaxed);
        return true;
}

int kept_accept(const WorkerSocket *w, int flags, ClientInfo *ret_info, int *ret_fd) {
        int r = -EAGAIN;

        for (size_t i = 0; i < KEPT_MAX && r == -EAGAIN && w->cookie != 0 && atomic_load(&n_kept) > 0; i++)
                while (atomic_load(&kept[i].is_used)) {
                        r = kept_accept_from(&kept[i], w, flags & SOCK_CLOEXEC, ret_info, ret_fd);
                        if (r != -EAGAIN || !atomic_load(&kept[i].is_missed))
                                break;
                }

        atomic_store_explicit(&streak, r == 0 ? atomic_load_explicit(&streak, memory_order_relaxed) + 1 : 0,
                              memory_order_relaxed);
        return r;
}
