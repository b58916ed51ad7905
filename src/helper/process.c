/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper/process.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "helper/lane.h"
#include "helper/warden.h"

#define PROCESS_KILL_MSEC 100

#ifndef P_PIDFD
#define P_PIDFD 3 /* Linux 5.4 */
#endif

/*
 * Does what fork(2) does, with a shared table of descriptors. clone3(2) is not used, because RestrictNamespaces= of
 * systemd forbids it: a filter can't read its struct. The handlers of pthread_atfork(3) do not run. They are not
 * needed, because the broker has no other thread.
 */
static pid_t process_clone(int *ret_pid_fd) {
        const unsigned long flags = CLONE_FILES | CLONE_PIDFD | SIGCHLD;

#if defined(__s390x__) || defined(__s390__)
        return (pid_t) syscall(SYS_clone, NULL, flags, ret_pid_fd, NULL, 0);
#else
        return (pid_t) syscall(SYS_clone, flags, NULL, ret_pid_fd, NULL, 0);
#endif
}

static void process_run(Shared *s, pid_t parent) __attribute__((noreturn));
static void process_run(Shared *s, pid_t parent) {
        /* If the broker has died before this call, no signal comes (prctl(2)). */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(1);

        (void) prctl(PR_SET_NAME, "fdpass-helper");
        if (lanes_start(s) < 0)
                _exit(1);

        warden_run(s);
}

int process_start(Shared *s) {
        pid_t parent = getpid(), pid;
        int pid_fd = -EBADF;

        pid = process_clone(&pid_fd);
        if (pid < 0)
                return -errno;
        if (pid == 0)
                process_run(s, parent);

        return pid_fd;
}

int process_reap(int pid_fd) {
        siginfo_t info;

        if (pid_fd >= 0)
                (void) waitid((idtype_t) P_PIDFD, (id_t) pid_fd, &info, WEXITED | WNOHANG);
        return fd_close(pid_fd);
}

int process_kill(int pid_fd) {
        struct pollfd p = { .fd = pid_fd, .events = POLLIN };

        if (pid_fd < 0)
                return -EBADF;

        (void) syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0);
        (void) poll(&p, 1, PROCESS_KILL_MSEC);
        return process_reap(pid_fd);
}
