/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/error.h"
#include "basic/fd.h"
#include "workers/exec.h"

#define KILL_USEC (5 * USEC_PER_SEC) /* between SIGTERM and SIGKILL for a program whose time is up */

typedef struct Child {
        List age;     /* Exec.running, or Exec.ending once it was told that its time is up */
        List bucket;  /* Exec.by_pid */
        pid_t pid;
        usec_t end;   /* of its time, or of our patience */
        bool is_told;
} Child;

int program_check(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EACCES;

        return access(path, X_OK) < 0 ? -errno : 0;
}

char *program_find(const char *name) {
        const char *directories = getenv("PATH") ?: "/usr/local/bin:/usr/bin:/bin";
        char *path;

        if (strchr(name, '/'))
                return strdup(name);

        while (*directories) {
                size_t n = strcspn(directories, ":");

                if (asprintf(&path, "%.*s/%s", (int) n, directories, name) < 0)
                        return NULL;
                if (n > 0 && program_check(path) >= 0)
                        return path;

                free(path);
                directories += n + (directories[n] == ':');
        }

        return strdup(name);
}

/* Running it */

void clean_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        fd_close(fd);

        (void) close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
}

static int add_actions(const Exec *e, posix_spawn_file_actions_t *actions, int client_fd) {
        int r;

        r = posix_spawn_file_actions_adddup2(actions, client_fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, client_fd, STDOUT_FILENO);
        if (r == 0 && e->kind_of_stderr == STDERR_SOCKET)
                r = posix_spawn_file_actions_adddup2(actions, client_fd, STDERR_FILENO);
        if (r == 0 && e->kind_of_stderr == STDERR_NULL)
                r = posix_spawn_file_actions_addopen(actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);

        return r;
}

/*
 * Every signal as a program expects to find it: systemd has us ignore SIGPIPE, and the event loop blocks what it
 * waits for. A process group of its own, so that its time limit reaches what it started.
 */
static int set_attributes(posix_spawnattr_t *attributes) {
        sigset_t all, none;

        sigfillset(&all);
        sigemptyset(&none);
        (void) posix_spawnattr_setsigdefault(attributes, &all);
        (void) posix_spawnattr_setsigmask(attributes, &none);
        (void) posix_spawnattr_setpgroup(attributes, 0);
        return posix_spawnattr_setflags(attributes,
                                        POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
}

/*
 * posix_spawn(3) shares our memory with the child until that becomes the program: the cost doesn't grow with us, and
 * an error of execve(2) is returned here. All our descriptors are close-on-exec.
 */
static int spawn(Exec *e, int client_fd, pid_t *ret) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;

        r = posix_spawnattr_init(&attributes);
        if (r == 0) {
                r = set_attributes(&attributes);
                if (r == 0)
                        r = add_actions(e, &actions, client_fd);
                if (r == 0)
                        r = posix_spawn(ret, e->path, &actions, &attributes, e->argv, e->environment.items);
                (void) posix_spawnattr_destroy(&attributes);
        }

        (void) posix_spawn_file_actions_destroy(&actions);
        return -r;
}

/* Waiting for it */

static List *bucket_of(Exec *e, pid_t pid) {
        return &e->by_pid[(unsigned) pid % N_BUCKETS];
}

static Child *find(Exec *e, pid_t pid) {
        LIST_FOREACH(i, bucket_of(e, pid)) {
                Child *c = CONTAINER_OF(i, Child, bucket);

                if (c->pid == pid)
                        return c;
        }

        return NULL;
}

static void child_free(Child *c) {
        list_remove(&c->age);
        list_remove(&c->bucket);
        free(c);
}

static usec_t first_end(List *children) {
        List *l = list_first(children);

        return l ? CONTAINER_OF(l, Child, age)->end : USEC_INFINITY;
}

static void arm_timer(Exec *e) {
        usec_t at = MIN(first_end(&e->running), first_end(&e->ending));

        if (at != USEC_INFINITY) {
                (void) sd_event_source_set_time(e->timer, at);
                (void) sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
        }
}

static void child_watch(Exec *e, Child *c, pid_t pid) {
        bool first = list_is_empty(&e->running);

        c->pid = pid;
        c->end = usec_add(usec_now(), e->runtime_max_usec);
        list_append(&e->running, &c->age);
        list_append(bucket_of(e, pid), &c->bucket);
        if (first)
                arm_timer(e);
}

/* SIGTERM, and some time later SIGKILL. Both lists are in the order of their ends. */
static void end_child(Exec *e, Child *c, usec_t now) {
        if (!c->is_told)
                service_complain(&e->service, "The time of process %i is up.", (int) c->pid);

        (void) kill(-c->pid, c->is_told ? SIGKILL : SIGTERM);
        c->is_told = true;
        c->end = now + KILL_USEC;
        list_remove(&c->age);
        list_append(&e->ending, &c->age);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Exec *e = userdata;
        usec_t now = usec_now();

        while (first_end(&e->running) <= now)
                end_child(e, CONTAINER_OF(list_first(&e->running), Child, age), now);
        while (first_end(&e->ending) <= now)
                end_child(e, CONTAINER_OF(list_first(&e->ending), Child, age), now);

        arm_timer(e);
        return 0;
}

static int on_child(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        Exec *e = userdata;
        int status;
        pid_t pid;

        /* One signal may stand for several. */
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                Child *c = find(e, pid);

                if (!c)
                        continue;

                if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM && WTERMSIG(status) != SIGPIPE && !c->is_told)
                        service_complain(&e->service, "Process %i was ended by signal %i (%s).", (int) pid, WTERMSIG(status),
                                         strsignal(WTERMSIG(status)));
                child_free(c);
                service_end(&e->service);
        }

        return 0;
}

/* Clients */

static bool is_readable(const Exec *e, const struct fdpass *told) {
        size_t n = 0;

        if (told)
                (void) fdpass_consumed(told, &n);
        return n == 0;
}

/* The program couldn't be run. */
static void failed(Exec *e, int client_fd, struct fdpass *told, int r) {
        bool is_ours = errno_is_resource(r) || r == -EAGAIN; /* TasksMax=, memory: it comes back */

        service_complain(&e->service, "Failed to run %s: %s.", e->path, strerror(-r));
        service_turn_away(client_fd, told, /* another_may= */ is_ours);
        if (is_ours)
                service_pause(&e->service);
}

static void take(Service *s, int client_fd, struct fdpass *told, const Inlet *inlet) {
        Exec *e = CONTAINER_OF(s, Exec, service);
        Child *c;
        pid_t pid;
        int r;

        if (!is_readable(e, told)) {
                service_complain(s, "A client came with bytes that were read from it already: a program can't get these.");
                service_turn_away(client_fd, told, false);
                return;
        }

        c = calloc(1, sizeof(*c));
        if (!c) {
                failed(e, client_fd, told, -ENOMEM);
                return;
        }

        environment_set(&e->environment, client_fd, told);
        r = spawn(e, client_fd, &pid);
        if (r < 0) {
                free(c);
                failed(e, client_fd, told, r);
                return;
        }

        fd_close(client_fd);
        if (told)
                (void) fdpass_taken(told);
        fdpass_free(told);

        child_watch(e, c, pid);
        service_begin(s);
}

int exec_init(Exec *e) {
        sd_event *event = e->service.event;
        int r;

        list_init(&e->running);
        list_init(&e->ending);
        for (size_t i = 0; i < N_BUCKETS; i++)
                list_init(&e->by_pid[i]);
        e->service.take = take;

        r = sd_event_add_signal(event, NULL, SIGCHLD | SD_EVENT_SIGNAL_PROCMASK, on_child, e);
        if (r >= 0)
                r = sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, 0, 0, on_timer, e);
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
        }

        sd_event_source_disable_unref(e->timer);
        environment_done(&e->environment);
        free(e->path);
}
