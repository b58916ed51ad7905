/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/supervisor.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/fd.h"
#include "handoff/handoff.h"
#include "workers/tls/renewal.h"

/* Time between the end of a process and the start of the next one, so that a process that always ends costs little. */
#define SUPERVISOR_RESTART_USEC (100 * USEC_PER_MSEC)

/* Processes that end within this time of their start are failures. So many in a row end the service. */
#define SUPERVISOR_FAILURE_USEC (1 * USEC_PER_SEC)
#define SUPERVISOR_FAILURES_MAX 10

/* Shortest time between two STATUS= messages, and longest between two signs of life. */
#define SUPERVISOR_STATUS_USEC (5 * USEC_PER_SEC)

/* Time between two looks at when certificates expire. */
#define SUPERVISOR_EXPIRY_USEC (24 * 3600 * USEC_PER_SEC)

typedef struct Process {
        pid_t pid;      /* 0: it is to be started */
        int control_fd; /* TlsStage.control_fd is its other end; -EBADF: none */
        usec_t start;   /* when it was started, or is to be; CLOCK_MONOTONIC */
        usec_t beat;    /* when it was alive last; CLOCK_MONOTONIC */
        StageBeat last; /* what it said then */
} Process;

typedef struct Supervisor {
        TlsStage *stage;
        Process processes[SUPERVISOR_PROCESSES_MAX];
        unsigned n_processes;
        unsigned n_failures; /* in a row */
        int *fds;            /* sockets of systemd; owned */
        char **names;        /* of @fds; owned */
        size_t n_fds;
        int signal_fd;
        sigset_t signals;    /* mask before the start */
        usec_t watchdog;     /* of systemd; 0: none */
        usec_t status;       /* when STATUS= may be sent again; CLOCK_MONOTONIC */
        uint64_t n_taken_before; /* clients of processes that have ended */
        usec_t expiry;       /* when to look at when certificates expire; CLOCK_MONOTONIC */
        bool is_stopping;
} Supervisor;

/* Condition of supervisor_start(). */
enum {
        SUPERVISOR_IN_CHILD = 1,
};

static int supervisor_init(Supervisor *s) {
        sigset_t mask;
        int n;

        n = sd_listen_fds_with_names(/* unset_environment= */ 1, &s->names);
        if (n < 0)
                return n;

        s->n_fds = (size_t) n;
        s->fds = calloc(MAX(s->n_fds, (size_t) 1), sizeof(*s->fds));
        if (!s->fds)
                return -ENOMEM;
        for (int i = 0; i < n; i++)
                s->fds[i] = SD_LISTEN_FDS_START + i;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, &s->signals) < 0)
                return -errno;

        s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (s->signal_fd < 0)
                return -errno;

        (void) sd_watchdog_enabled(/* unset_environment= */ 1, &s->watchdog);
        return 0;
}

static void supervisor_done(Supervisor *s) {
        for (char **name = s->names; name && *name; name++)
                free(*name);
        free(s->names);
        free(s->fds);
        for (unsigned i = 0; i < s->n_processes; i++)
                fd_close(s->processes[i].control_fd);
        fd_close(s->signal_fd);
}

/* Makes the new process a stage that knows nothing of the others. */
static void supervisor_leave(Supervisor *s, int control_fd, pid_t parent) {
        TlsStage *stage = s->stage;

        /* The end of the supervisor is a stop, however it comes. */
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
                (void) raise(SIGTERM);

        (void) unsetenv("NOTIFY_SOCKET");
        stage->control_fd = control_fd;
        stage->beat_usec = MIN(s->watchdog > 0 ? s->watchdog / 4 : USEC_INFINITY, SUPERVISOR_STATUS_USEC);
        stage->report.log = NULL; /* the supervisor has logged it */
        stage->renewal_path = NULL;
        stage->renewal_fd = fd_close(stage->renewal_fd);
        stage->status_path = NULL;
        stage->status_fd = fd_close(stage->status_fd);
}

/* Starts a process. Returns 0, SUPERVISOR_IN_CHILD, or a negative errno. */
static int supervisor_start(Supervisor *s, Process *p) {
        _cleanup_close_ int own_fd = -EBADF, other_fd = -EBADF;
        int fds[2];
        pid_t parent = getpid();

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;

        own_fd = fds[0];
        other_fd = fds[1];
        p->pid = fork();
        if (p->pid < 0) {
                p->pid = 0;
                return -errno;
        }
        if (p->pid == 0) {
                supervisor_leave(s, TAKE_FD(other_fd), parent);
                return SUPERVISOR_IN_CHILD;
        }

        p->control_fd = TAKE_FD(own_fd);
        p->start = p->beat = usec_now();
        return 0;
}

/* Starts the processes that are due. */
static int supervisor_start_all(Supervisor *s) {
        usec_t now = usec_now();
        int r = 0;

        for (unsigned i = 0; i < s->n_processes && r != SUPERVISOR_IN_CHILD; i++) {
                Process *p = &s->processes[i];

                if (p->pid > 0 || p->start > now)
                        continue;

                r = supervisor_start(s, p);
                if (r < 0) {
                        log_line(s->stage->service.log, LOG_ERR, "A process can't be started: %s.", strerror(-r));
                        p->start = usec_add(now, USEC_PER_SEC);
                }
        }

        return r;
}

static void supervisor_ended(Supervisor *s, Process *p, int status) {
        Log *log = s->stage->service.log;
        usec_t now = usec_now();

        if (WIFSIGNALED(status))
                log_line(log, LOG_ERR, "A process was killed by signal %i (%s), with its clients. Another one is started.",
                         WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
                log_line(log, LOG_ERR, "A process has ended with status %i. Another one is started.", WEXITSTATUS(status));

        s->n_failures = now < usec_add(p->start, SUPERVISOR_FAILURE_USEC) ? s->n_failures + 1 : 0;
        s->n_taken_before += p->last.n_taken;
        *p = (Process){ .control_fd = fd_close(p->control_fd), .start = usec_add(now, SUPERVISOR_RESTART_USEC) };
}

static void supervisor_reap(Supervisor *s) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                for (unsigned i = 0; i < s->n_processes; i++)
                        if (s->processes[i].pid == pid)
                                supervisor_ended(s, &s->processes[i], status);
}

static void supervisor_on_signal(Supervisor *s) {
        struct signalfd_siginfo info;

        while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
                if (info.ssi_signo != SIGCHLD)
                        s->is_stopping = true;

        supervisor_reap(s);
}

/* Reads the signs of life of a process. */
static void supervisor_on_control(Process *p) {
        StageBeat beat;
        ssize_t n;

        while ((n = recv(p->control_fd, &beat, sizeof(beat), MSG_DONTWAIT)) == sizeof(beat)) {
                p->beat = usec_now();
                p->last = beat;
        }

        if (n == 0) /* it ends; poll(2) would report that again and again */
                p->control_fd = fd_close(p->control_fd);
}

/* Sets STATUS= (sd_notify(3)), not too often, because each message costs PID 1 20 µs. */
static void supervisor_notify_status(Supervisor *s) {
        usec_t now = usec_now();
        uint64_t n_busy = 0, n_taken = s->n_taken_before;

        if (now < s->status)
                return;

        for (unsigned i = 0; i < s->n_processes; i++) {
                n_busy += s->processes[i].last.n_busy;
                n_taken += s->processes[i].last.n_taken;
        }

        s->status = usec_add(now, SUPERVISOR_STATUS_USEC);
        (void) sd_notifyf(0, "STATUS=%u process%s, %" PRIu64 " clients now, %" PRIu64 " since the start.", s->n_processes,
                          s->n_processes == 1 ? "" : "es", n_busy, n_taken);
}

/* Ends a process that does not go on. It is reaped later, and another one is started. */
static void supervisor_check(Supervisor *s) {
        usec_t now = usec_now();

        for (unsigned i = 0; s->watchdog > 0 && i < s->n_processes; i++) {
                Process *p = &s->processes[i];

                if (p->pid <= 0 || now < usec_add(p->beat, s->watchdog))
                        continue;

                log_line(s->stage->service.log, LOG_ERR, "A process is killed, because it hangs.");
                (void) kill(p->pid, SIGKILL);
                p->beat = now;
        }

        if (s->watchdog > 0)
                (void) sd_notify(0, "WATCHDOG=1");
}

/* Logs once a day which certificates have expired or are about to. */
static void supervisor_check_expiry(Supervisor *s) {
        usec_t now = usec_now();

        if (now < s->expiry)
                return;

        s->expiry = usec_add(now, SUPERVISOR_EXPIRY_USEC);
        certificate_report_add(&s->stage->report, &s->stage->set);
}

/* Gives new files to all processes. A process that does not take them is replaced by one that has them from its start. */
static void supervisor_spread(Supervisor *s, const CertificateFiles *files) {
        for (unsigned i = 0; i < s->n_processes; i++) {
                Process *p = &s->processes[i];

                if (p->pid > 0 && renewal_forward(p->control_fd, files) < 0) {
                        log_line(s->stage->service.log, LOG_WARNING, "A process did not take new certificates. It is "
                                 "replaced.");
                        (void) kill(p->pid, SIGTERM);
                        s->n_taken_before += p->last.n_taken;
                        *p = (Process){ .control_fd = fd_close(p->control_fd) };
                }
        }
}

static void supervisor_on_renewal(Supervisor *s) {
        CertificateFiles files;
        int conn_fd, r;

        r = renewal_receive(s->stage->renewal_fd, &files, &conn_fd);
        if (r < 0) {
                if (r != -EAGAIN)
                        stage_complain_of_renewal(s->stage, r);
                return;
        }

        r = certificate_report_begin(&s->stage->report);
        if (r >= 0)
                r = stage_load(s->stage, &files);
        if (r >= 0)
                supervisor_spread(s, &files);
        certificate_files_done(&files);
        if (r < 0)
                stage_complain_of_renewal(s->stage, r);
        else
                renewal_answer(TAKE_FD(conn_fd));
        fd_close(conn_fd);
}

/* Returns the time in ms until a process is to be started, or is to be looked at. */
static int supervisor_timeout(const Supervisor *s) {
        usec_t now = usec_now(), next = s->watchdog > 0 ? s->watchdog / 3 : 10 * USEC_PER_SEC;

        for (unsigned i = 0; i < s->n_processes; i++)
                if (s->processes[i].pid == 0)
                        next = MIN(next, s->processes[i].start > now ? s->processes[i].start - now : 0);

        return (int) (next / USEC_PER_MSEC) + 1;
}

/* Waits for events, and handles them. */
static int supervisor_turn(Supervisor *s) {
        struct pollfd fds[2 + SUPERVISOR_PROCESSES_MAX] = {
                { .fd = s->signal_fd, .events = POLLIN },
                { .fd = s->stage->renewal_fd, .events = POLLIN },
        };

        for (unsigned i = 0; i < s->n_processes; i++)
                fds[2 + i] = (struct pollfd){ .fd = s->processes[i].control_fd, .events = POLLIN };

        if (poll(fds, 2 + s->n_processes, supervisor_timeout(s)) < 0)
                return errno == EINTR ? 0 : -errno;

        for (unsigned i = 0; i < s->n_processes; i++)
                if (fds[2 + i].revents)
                        supervisor_on_control(&s->processes[i]);
        if (fds[1].revents)
                supervisor_on_renewal(s);
        if (fds[0].revents)
                supervisor_on_signal(s);
        supervisor_check(s);
        supervisor_check_expiry(s);
        supervisor_notify_status(s);
        return 0;
}

/* Returns 0 after a stop, SUPERVISOR_IN_CHILD, or a negative errno. */
static int supervisor_loop(Supervisor *s) {
        bool is_ready = false;
        int r;

        for (;;) {
                r = supervisor_start_all(s);
                if (r == SUPERVISOR_IN_CHILD)
                        return r;

                if (!is_ready)
                        (void) sd_notify(0, "READY=1");
                is_ready = true;

                r = supervisor_turn(s);
                if (r < 0 || s->is_stopping)
                        break;
                if (s->n_failures >= SUPERVISOR_FAILURES_MAX) {
                        log_line(s->stage->service.log, LOG_ERR, "Too many processes have ended at their start.");
                        return -ECHILD;
                }
        }

        (void) sd_notify(0, "STOPPING=1");
        return r;
}

/* Serves in a new process. */
static int supervisor_serve(Supervisor *s) {
        TlsStage *stage = s->stage;
        int r;

        for (unsigned i = 0; i < s->n_processes; i++)
                s->processes[i].control_fd = fd_close(s->processes[i].control_fd);
        s->signal_fd = fd_close(s->signal_fd);
        (void) sigprocmask(SIG_SETMASK, &s->signals, NULL);

        r = service_init_with(&stage->service, s->fds, s->names, s->n_fds);
        if (r < 0) {
                log_line(stage->service.log, LOG_ERR, "Failed to take over the sockets: %s.", strerror(-r));
                return r;
        }

        r = stage_init(stage);
        if (r < 0)
                return r;

        r = service_run(&stage->service);
        if (r < 0)
                log_line(stage->service.log, LOG_ERR, "Failed to serve: %s.", strerror(-r));
        return r;
}

static int supervisor_prepare(Supervisor *s, unsigned n) {
        int r;

        r = supervisor_init(s);
        if (r < 0) {
                log_line(s->stage->service.log, LOG_ERR, "Failed to take over the sockets: %s.", strerror(-r));
                return r;
        }
        if (s->n_fds == 0) {
                log_line(s->stage->service.log, LOG_ERR, "There is no socket to take clients from. Start the socket unit "
                         "instead.");
                return EX_CONFIG;
        }

        s->n_processes = n;
        s->expiry = usec_add(usec_now(), SUPERVISOR_EXPIRY_USEC);
        for (unsigned i = 0; i < n; i++)
                s->processes[i].control_fd = -EBADF;
        return stage_prepare(s->stage);
}

int supervisor_run(TlsStage *stage, unsigned n) {
        Supervisor s = { .stage = stage, .signal_fd = -EBADF };
        int r;

        r = supervisor_prepare(&s, n);
        if (r == 0)
                r = supervisor_loop(&s);
        if (r == SUPERVISOR_IN_CHILD)
                r = supervisor_serve(&s);

        supervisor_done(&s);
        return r;
}
