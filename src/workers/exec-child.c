/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/exec.h"

#include <signal.h>
#include <sys/wait.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "handoff/ktls.h"

#define KILL_USEC (5 * USEC_PER_SEC) /* from SIGTERM to SIGKILL */

/* Longest wait for room in a client's send buffer. After that the client misses close_notify only. */
#define CLOSE_USEC (30 * USEC_PER_SEC)

/* A running program. */
typedef struct Child {
        List age;        /* Exec.running or Exec.ending */
        List bucket;     /* Exec.by_pid */
        pid_t pid;
        usec_t end;      /* when the next signal is due; USEC_INFINITY: never */
        bool is_expired; /* it got SIGTERM */
        Exec *exec;
        int tls_fd;      /* its client, if the kernel has the client's TLS records; -EBADF: it has not */
        sd_event_source *room; /* waits for room for close_notify; NULL: it does not wait */
} Child;

static List *child_bucket(Exec *e, pid_t pid) {
        return &e->by_pid[(unsigned) pid % N_BUCKETS];
}

static Child *child_find(Exec *e, pid_t pid) {
        LIST_FOREACH(i, child_bucket(e, pid)) {
                Child *c = CONTAINER_OF(i, Child, bucket);

                if (c->pid == pid)
                        return c;
        }

        return NULL;
}

static void child_free(Child *c) {
        list_remove(&c->age);
        list_remove(&c->bucket);
        sd_event_source_disable_unref(c->room);
        fd_close(c->tls_fd);
        free(c);
}

static void child_end(Exec *e, Child *c) {
        child_free(c);
        service_end(&e->service);
}

static usec_t child_first_end(List *children) {
        List *l = list_first(children);

        return l ? CONTAINER_OF(l, Child, age)->end : USEC_INFINITY;
}

static void child_arm_timer(Exec *e) {
        usec_t at = MIN(MIN(child_first_end(&e->running), child_first_end(&e->ending)), child_first_end(&e->closing));

        if (at != USEC_INFINITY) {
                (void) sd_event_source_set_time(e->timer, at);
                (void) sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
        }
}

static int child_on_room(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Child *c = userdata;

        if (ktls_close_notify(fd, NULL) != -EAGAIN || revents & (EPOLLERR | EPOLLHUP))
                child_end(c->exec, c);

        return 0;
}

/*
 * Sends close_notify for a program that knows nothing of TLS. So the client knows that its data are complete. A signal
 * may have cut them off. shutdown(2) is not called, because a process that the program has left behind may go on reading.
 * Returns false if the client has no room yet: then child_on_room() sends it.
 */
static bool child_close_tls(Exec *e, Child *c, int status) {
        if (c->tls_fd < 0 || !WIFEXITED(status) || ktls_close_notify(c->tls_fd, NULL) != -EAGAIN ||
            sd_event_add_io(e->service.event, &c->room, c->tls_fd, EPOLLOUT, child_on_room, c) < 0)
                return true;

        c->exec = e;
        c->pid = 0;
        c->end = usec_add(usec_now(), CLOSE_USEC);
        list_remove(&c->age);
        list_remove(&c->bucket);
        list_append(&e->closing, &c->age);
        child_arm_timer(e);
        return false;
}

static void child_watch(Exec *e, Child *c, pid_t pid) {
        bool first = list_is_empty(&e->running);

        c->pid = pid;
        c->end = usec_add(usec_now(), e->runtime_max_usec);
        list_append(&e->running, &c->age);
        list_append(child_bucket(e, pid), &c->bucket);
        if (first)
                child_arm_timer(e);
}

/* Sends SIGTERM, or KILL_USEC later SIGKILL, to the program's process group. */
static void child_expire(Exec *e, Child *c, usec_t now) {
        if (!c->is_expired)
                service_complain(&e->service, "The time of process %i is up.", (int) c->pid);

        (void) kill(-c->pid, c->is_expired ? SIGKILL : SIGTERM);
        c->is_expired = true;
        c->end = now + KILL_USEC;
        list_remove(&c->age);
        list_append(&e->ending, &c->age);
}

static int child_on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Exec *e = userdata;
        usec_t now = usec_now();

        while (child_first_end(&e->running) <= now)
                child_expire(e, CONTAINER_OF(list_first(&e->running), Child, age), now);
        while (child_first_end(&e->ending) <= now)
                child_expire(e, CONTAINER_OF(list_first(&e->ending), Child, age), now);
        while (child_first_end(&e->closing) <= now)
                child_end(e, CONTAINER_OF(list_first(&e->closing), Child, age));

        child_arm_timer(e);
        return 0;
}

static int child_on_exit(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Exec *e = userdata;
        int status;
        pid_t pid;

        /* One SIGCHLD may stand for several processes, because it is not queued (signal(7)). */
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                Child *c = child_find(e, pid);

                if (!c)
                        continue;

                if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGPIPE && !c->is_expired)
                        service_complain(&e->service, "Process %i was ended by signal %i (%s).", (int) pid,
                                         WTERMSIG(status), strsignal(WTERMSIG(status)));
                if (child_close_tls(e, c, status))
                        child_end(e, c);
        }

        return 0;
}

/* Answers for a client whose program did not start. A lack of processes (TasksMax=) or memory may end. */
static void child_failed(Exec *e, int client_fd, struct fdpass *info, int r) {
        bool is_temporary = errno_is_resource(r) || r == -EAGAIN;

        service_complain(&e->service, "Failed to run %s: %s.", e->path, strerror(-r));
        service_turn_away(client_fd, info, /* another_may= */ is_temporary);
}

static void child_take(Service *s, int client_fd, struct fdpass *info, const ServiceSocket *socket) {
        Exec *e = CONTAINER_OF(s, Exec, service);
        Child *c;
        pid_t pid;
        int r;

        if (!program_can_read(info)) {
                service_complain(s, "A client came with bytes that were read from it already: "
                                    "a program can't get these.");
                service_turn_away(client_fd, info, false);
                return;
        }

        c = calloc(1, sizeof(*c));
        if (!c) {
                child_failed(e, client_fd, info, -ENOMEM);
                return;
        }

        c->tls_fd = -EBADF;
        program_environment_set(&e->environment, client_fd, info);
        r = program_spawn(e, client_fd, &pid);
        if (r < 0) {
                free(c);
                child_failed(e, client_fd, info, r);
                return;
        }

        if (ktls_is_on(client_fd, NULL))
                c->tls_fd = client_fd;
        else
                fd_close(client_fd);
        if (info)
                (void) fdpass_taken(info);
        fdpass_free(info);

        child_watch(e, c, pid);
        service_begin(s);
}

int exec_init(Exec *e) {
        sd_event *event = e->service.event;
        int r;

        list_init(&e->running);
        list_init(&e->ending);
        list_init(&e->closing);
        for (size_t i = 0; i < N_BUCKETS; i++)
                list_init(&e->by_pid[i]);
        e->service.take = child_take;

        r = sd_event_add_signal(event, NULL, SIGCHLD | SD_EVENT_SIGNAL_PROCMASK, child_on_exit, e);
        if (r >= 0)
                r = sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, 0, 0, child_on_timer, e);
        if (r >= 0)
                r = sd_event_source_set_enabled(e->timer, SD_EVENT_OFF);

        return r;
}

void exec_done(Exec *e) {
        if (e->timer) {
                LIST_FOREACH(i, &e->running)
                        child_free(CONTAINER_OF(i, Child, age));
                LIST_FOREACH(i, &e->ending)
                        child_free(CONTAINER_OF(i, Child, age));
                LIST_FOREACH(i, &e->closing)
                        child_free(CONTAINER_OF(i, Child, age));
        }

        sd_event_source_disable_unref(e->timer);
        program_environment_done(&e->environment);
        free(e->path);
}
