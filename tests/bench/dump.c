/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A table of many live connections, and the list of the kernel's sockets with which it is compared (connections/sweep.h).
 * The kernel's answers are made here, so that no such number of sockets is needed.
 *
 *         dump CONNECTIONS
 *
 * Prints what the connections need in memory, and the time of the list and of the comparison. It is the time of the broker:
 * the kernel needs its own to make the list. The longest turn is how long clients wait meanwhile.
 */

#include <arpa/inet.h>
#include <err.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/time.h"
#include "connections/store.h"
#include "connections/sweep.h"

#define PORT 80

/* A message of the kernel about a socket in a list, with its attributes: 112 bytes on Linux 6.18. */
typedef struct Listed {
        struct nlmsghdr header;
        struct inet_diag_msg socket;
        uint8_t attributes[24];
} Listed;

static struct {
        size_t n;        /* connections */
        size_t n_listed; /* of the list that is asked for */
        uint32_t sequence;
        bool is_asked, is_v4;
} kernel;

/* These two are called in place of those of the C library. */
ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t size) {
        const struct { struct nlmsghdr header; struct inet_diag_req_v2 request; } *m = p;

        kernel.sequence = m->header.nlmsg_seq;
        kernel.is_v4 = m->request.sdiag_family == AF_INET;
        kernel.is_asked = true;
        kernel.n_listed = 0;
        return (ssize_t) n;
}

ssize_t recvfrom(int fd, void *p, size_t n, int flags, struct sockaddr *from, socklen_t *size) {
        Listed *m = p;
        size_t count = 0, in_list = kernel.is_v4 ? kernel.n : 0;

        if (!kernel.is_asked) {
                errno = EAGAIN;
                return -1;
        }

        for (; count < n / sizeof(*m) && kernel.n_listed < in_list; count++) {
                m[count] = (Listed){
                        .header = { sizeof(*m), SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, kernel.sequence, 0 },
                        .socket = { .idiag_family = AF_INET, .idiag_state = 1, .id.idiag_sport = htons(PORT) },
                };
                m[count].socket.id.idiag_cookie[0] = (uint32_t) ++kernel.n_listed;
        }
        if (count > 0)
                return (ssize_t) (count * sizeof(*m));

        m->header = (struct nlmsghdr){ sizeof(m->header), NLMSG_DONE, NLM_F_MULTI, kernel.sequence, 0 };
        kernel.is_asked = false;
        return sizeof(m->header);
}

static usec_t cpu_now(void) {
        struct rusage usage;

        (void) getrusage(RUSAGE_SELF, &usage);
        return (usec_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * USEC_PER_SEC +
               (usec_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Memory of the process, with the touched pages of the memfd, in bytes. */
static size_t memory_now(void) {
        unsigned long size, resident = 0;
        FILE *f = fopen("/proc/self/statm", "re");

        if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
                err(EXIT_FAILURE, "/proc/self/statm");
        (void) fclose(f);
        return resident * (size_t) sysconf(_SC_PAGESIZE);
}

static uint64_t source_of(const Connection *c) {
        return c->port;
}

static void on_unseen(void *userdata, Connection *c) {
        connection_remove(userdata, c);
}

static void on_report(void *userdata, const SockReport *report) {
        sweep_on_report(userdata, report);
}

static ConnectionTable *make_table(size_t n) {
        ConnectionRoute *route;
        ConnectionStore *store;
        ConnectionTable *t;

        if (connection_store_new(&store) < 0 || connection_table_new(store, n, source_of, &t) < 0 ||
            connection_route_get(&t->routes, "a.socket", "/run/a", &route) < 0)
                errx(EXIT_FAILURE, "no table");

        for (uint64_t i = 1; i <= n; i++) {
                const Connection model = { .cookie = i, .listener = (uint16_t) connection_listener(t, "public"), .port = (uint16_t) (i % 40000) };

                if (!connection_add(t, &model, route))
                        errx(EXIT_FAILURE, "connection %llu has no place", (unsigned long long) i);
        }

        return t;
}

/* Reads one list, and compares. Returns the longest turn. */
static usec_t sweep_all(Sweep *s) {
        usec_t longest = 0;

        sweep_need(s, 0);
        s->at = 0;
        do {
                usec_t begin = cpu_now();

                (void) diag_socket_read(s->socket, on_report, s);
                (void) sweep_go_on(s, 1);
                longest = MAX(longest, cpu_now() - begin);
        } while (s->state != SWEEP_IDLE);

        return longest;
}

int main(int argc, char *argv[]) {
        size_t n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0, before = memory_now();
        const uint16_t port = PORT;
        const size_t n_ports = 1;
        DiagSocket reports;
        ConnectionTable *t;
        usec_t begin, longest;
        Sweep sweep;

        if (n == 0 || n > CONNECTION_TABLE_MAX)
                errx(EXIT_FAILURE, "Usage: dump CONNECTIONS");

        if (diag_socket_init(&reports, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
                errx(EXIT_FAILURE, "no socket");

        begin = cpu_now();
        t = make_table(n);
        printf("%zu connections: %.1f MiB, %.0f bytes each; %.2f s to add them\n", n, (double) (memory_now() - before) / 1048576,
               (double) (memory_now() - before) / (double) n, (double) (cpu_now() - begin) / USEC_PER_SEC);

        sweep = (Sweep){ .table = t, .socket = &reports, .ports = &port, .n_ports = &n_ports, .handler = on_unseen, .userdata = t };
        kernel.n = n;
        begin = cpu_now();
        longest = sweep_all(&sweep);
        printf("a list of all: %.3f s, longest turn %.2f ms, %zu left\n", (double) (cpu_now() - begin) / USEC_PER_SEC,
               (double) longest / USEC_PER_MSEC, t->n_tracked);

        /* Half of them have ended unseen. Two lists say so. */
        kernel.n = n / 2;
        begin = cpu_now();
        longest = sweep_all(&sweep);
        longest = MAX(longest, sweep_all(&sweep));
        printf("half have ended, two lists: %.3f s, longest turn %.2f ms, %zu left\n", (double) (cpu_now() - begin) / USEC_PER_SEC,
               (double) longest / USEC_PER_MSEC, t->n_tracked);
        if (t->n_tracked != n / 2)
                errx(EXIT_FAILURE, "%zu connections are left", t->n_tracked);

        connection_table_free(t);
        diag_socket_done(&reports);
        return 0;
}
