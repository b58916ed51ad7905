/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prints what the filters of this process cost: their number, and the time of some system calls in ns, as
 * "FILTERS NAME=NS …". `sandbox` beside this file starts it as a service with one directive after the other.
 *
 * getppid is allowed by every filter whatever its arguments are, so the kernel looks at none (SECCOMP_CACHE, Linux 5.11).
 * The filters look at the arguments of socket and mmap (systemd.exec(5): RestrictAddressFamilies=,
 * MemoryDenyWriteExecute=).
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define N_CALLS 20000
#define N_ROUNDS 9

static void calls_getppid(void) {
        (void) syscall(SYS_getppid);
}

static void calls_recv(void) {
        char byte;

        (void) recv(-1, &byte, sizeof(byte), 0); /* EBADF */
}

static void calls_socket(void) {
        (void) close(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void calls_mmap(void) {
        void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p != MAP_FAILED)
                (void) munmap(p, 4096);
}

static double calls_now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

/* The shortest round is the one that was disturbed least. */
static double calls_measure(void (*call)(void)) {
        double best = 1e18;

        for (int i = 0; i < N_ROUNDS; i++) {
                double begin = calls_now(), span;

                for (int k = 0; k < N_CALLS; k++)
                        call();
                span = (calls_now() - begin) / N_CALLS;
                if (span < best)
                        best = span;
        }

        return best;
}

static int calls_count_filters(void) {
        char line[256];
        FILE *f = fopen("/proc/self/status", "re");
        int n = -1;

        while (f && fgets(line, sizeof(line), f))
                if (strncmp(line, "Seccomp_filters:", strlen("Seccomp_filters:")) == 0)
                        n = atoi(line + strlen("Seccomp_filters:"));

        if (f)
                (void) fclose(f);
        return n;
}

/*
 * With an argument, only the CPU of this process so far, in us. Its clock began at the fork, so what systemd did before the
 * program started is in it.
 */
int main(int argc, char **argv) {
        struct timespec t;

        if (argc > 1) {
                (void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
                printf("%ld\n", (long) t.tv_sec * 1000000 + t.tv_nsec / 1000);
                return 0;
        }

        printf("%d getppid=%.0f recv=%.0f socket=%.0f mmap=%.0f\n", calls_count_filters(), calls_measure(calls_getppid),
               calls_measure(calls_recv), calls_measure(calls_socket), calls_measure(calls_mmap));
        return 0;
}
