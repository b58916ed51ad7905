/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/metrics-http.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "basic/confine.h"
#include "basic/error.h"
#include "basic/fd.h"
#include "basic/list.h"
#include "fdpassctl/openmetrics.h"
#include "probe/http.h"

/*
 * The server speaks as little HTTP as a scraper needs (RFC 9112): GET and HEAD of /metrics, one request for each
 * connection. A head has at most 8 KiB, and a request takes at most 5 s.
 */

#define HEAD_MAX 8192
#define CONNECTIONS_MAX 32
#define DEADLINE_USEC (5 * USEC_PER_SEC)

/* Time without a request after which the process ends. systemd starts the next one. */
#define IDLE_USEC (120 * USEC_PER_SEC)

typedef struct MetricsServer {
        sd_event *event;
        List connections;  /* MetricsRequest.link, oldest first */
        size_t n_connections;
        sd_event_source *idle;
        const MetricsNames *names;
} MetricsServer;

typedef struct MetricsRequest {
        MetricsServer *server;
        List link;         /* MetricsServer.connections */
        int fd;
        sd_event_source *io;
        sd_event_source *timer;
        char head[HEAD_MAX];
        size_t n_head;
        char *reply;
        size_t n_reply, n_sent;
        bool is_lingering; /* the reply is sent, and the peer may still read it */
} MetricsRequest;

static void metrics_http_free(MetricsRequest *c) {
        list_remove(&c->link);
        c->server->n_connections--;
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->timer);
        fd_close(c->fd);
        free(c->reply);
        free(c);
}

/* Returns the metrics as they are now, for the caller to free, or NULL after a message. */
static char *metrics_http_collect(MetricsFormat format, size_t *ret_n) {
        _cleanup_(certificates_done) Certificates certificates = {};
        _cleanup_(snapshot_done) Snapshot s = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        char *text = NULL;
        FILE *f;

        if (bus_open(&bus) < 0 || snapshot_take(bus, &s) < 0 ||
            certificates_read(&certificates, CERTIFICATES_DIRECTORY) < 0)
                return NULL;

        f = open_memstream(&text, ret_n);
        if (!f)
                return NULL;

        openmetrics_write(f, &s, &certificates, format);
        if (fclose(f) != 0) {
                free(text);
                return NULL;
        }

        return text;
}

static void metrics_http_set_reply(MetricsRequest *c, const char *status, const char *type, const char *body, size_t n,
                                   bool has_body) {
        size_t size = 0;
        FILE *f = open_memstream(&c->reply, &size);

        if (!f)
                return;

        fprintf(f, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                type, n,
                startswith(status, "405") ? "Allow: GET, HEAD\r\n" : "");
        if (has_body)
                (void) fwrite(body, 1, n, f);
        if (fclose(f) == 0)
                c->n_reply = size;
}

static void metrics_http_set_short_reply(MetricsRequest *c, const char *status) {
        char body[64];
        int n = snprintf(body, sizeof(body), "%s\n", status);

        metrics_http_set_reply(c, status, "text/plain; charset=utf-8", body, (size_t) n, true);
}

/* Returns the form that the Accept field asks for. */
static MetricsFormat metrics_http_format_wanted(const HttpFacts *http) {
        Slice rest = http->fields, name, value;

        while (http_next_field(&rest, &name, &value))
                if (slice_equal_fold(name, SLICE_LITERAL("accept")) && value.n > 0 &&
                    memmem(value.p, value.n, "application/openmetrics-text", 28))
                        return METRICS_OPENMETRICS;

        return METRICS_PROMETHEUS;
}

static void metrics_http_answer_metrics(MetricsRequest *c, const HttpFacts *http) {
        MetricsFormat format = metrics_http_format_wanted(http);
        size_t n;
        _cleanup_free_ char *text = metrics_http_collect(format, &n);

        if (!text)
                metrics_http_set_short_reply(c, "503 Service Unavailable");
        else
                metrics_http_set_reply(c, "200 OK", format == METRICS_OPENMETRICS
                                               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                               : "text/plain; version=0.0.4; charset=utf-8",
                          text, n, slice_equal(http->method, SLICE_LITERAL("GET")));
}

/* Sets the reply. Returns false if the head is not complete yet. */
static bool metrics_http_answer(MetricsRequest *c) {
        HttpFacts http;

        switch (probe_http1((const uint8_t *) c->head, c->n_head, sizeof(c->head), &http)) {

        case PROBE_NEED_MORE:
                return false;

        case PROBE_MATCH:
                if (!slice_equal(http.method, SLICE_LITERAL("GET")) && !slice_equal(http.method, SLICE_LITERAL("HEAD")))
                        metrics_http_set_short_reply(c, "405 Method Not Allowed");
                else if (!metrics_host_is_ours(&http.host, c->server->names))
                        metrics_http_set_short_reply(c, "421 Misdirected Request");
                else if (!slice_equal(http.path, SLICE_LITERAL("/metrics")))
                        metrics_http_set_short_reply(c, "404 Not Found");
                else
                        metrics_http_answer_metrics(c, &http);
                break;

        case PROBE_NO_MATCH:
        case PROBE_MALFORMED:
                metrics_http_set_short_reply(c, "400 Bad Request");
                break;
        }

        return true;
}

/* Returns false if the connection has ended. */
static bool metrics_http_receive(MetricsRequest *c) {
        ssize_t n;

        if (c->n_head == sizeof(c->head))
                return false; /* the reply is set; the peer sends on instead of reading it */

        n = recv(c->fd, c->head + c->n_head, sizeof(c->head) - c->n_head, MSG_DONTWAIT);
        if (n < 0)
                return errno_is_transient(-errno);
        if (n == 0 || c->is_lingering)
                return n > 0;

        c->n_head += (size_t) n;
        if (!metrics_http_answer(c))
                return true;

        /* There is no reply without memory. */
        (void) sd_event_source_set_io_events(c->io, EPOLLOUT);
        return c->n_reply > 0;
}

/* Returns false if the connection has ended. */
static bool metrics_http_transmit(MetricsRequest *c) {
        ssize_t n = send(c->fd, c->reply + c->n_sent, c->n_reply - c->n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
                return errno_is_transient(-errno);

        c->n_sent += (size_t) n;
        if (c->n_sent < c->n_reply)
                return true;

        /* Keep the connection until the peer closes it or the deadline: closing with unread bytes sends a reset. */
        c->is_lingering = true;
        (void) shutdown(c->fd, SHUT_WR);
        (void) sd_event_source_set_io_events(c->io, EPOLLIN);
        return true;
}

static int metrics_http_on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        MetricsRequest *c = userdata;
        bool is_alive = !(revents & (EPOLLERR | EPOLLHUP));

        if (is_alive && revents & EPOLLIN)
                is_alive = metrics_http_receive(c);
        if (is_alive && revents & EPOLLOUT)
                is_alive = metrics_http_transmit(c);
        if (!is_alive)
                metrics_http_free(c);

        return 0;
}

static int metrics_http_on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        metrics_http_free(userdata);
        return 0;
}

static int metrics_http_on_listener(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        MetricsServer *s = userdata;
        MetricsRequest *c;

        fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0;

        if (s->n_connections >= CONNECTIONS_MAX)
                metrics_http_free(CONTAINER_OF(list_first(&s->connections), MetricsRequest, link));

        c = calloc(1, sizeof(*c));
        if (!c) {
                fd_close(fd);
                return 0;
        }

        c->server = s;
        c->fd = fd;
        list_append(&s->connections, &c->link);
        s->n_connections++;

        if (sd_event_add_io(s->event, &c->io, fd, EPOLLIN, metrics_http_on_io, c) < 0 ||
            sd_event_add_time_relative(s->event, &c->timer, CLOCK_MONOTONIC, DEADLINE_USEC, 0,
                                       metrics_http_on_deadline, c) < 0)
                metrics_http_free(c);

        (void) sd_event_source_set_time_relative(s->idle, IDLE_USEC);
        return 0;
}

static int metrics_http_on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        MetricsServer *s = userdata;

        return sd_event_exit(s->event, 0);
}

static int metrics_http_run(MetricsServer *s) {
        int r;

        r = sd_event_default(&s->event);
        if (r >= 0)
                r = sd_event_set_signal_exit(s->event, true);
        if (r >= 0)
                r = fd_nonblock(SD_LISTEN_FDS_START, true);
        if (r >= 0)
                r = sd_event_add_io(s->event, NULL, SD_LISTEN_FDS_START, EPOLLIN, metrics_http_on_listener, s);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &s->idle, CLOCK_MONOTONIC, IDLE_USEC, 0,
                                               metrics_http_on_idle, s);
        if (r >= 0)
                r = sd_notify(0, "READY=1");
        if (r >= 0)
                r = sd_event_loop(s->event);

        return r;
}

int metrics_http_serve(const MetricsNames *names) {
        MetricsServer s = { .names = names };
        int r;

        list_init(&s.connections);

        if (sd_listen_fds(/* unset_environment= */ 1) != 1 ||
            sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, /* listening= */ 1) <= 0) {
                fprintf(stderr, "metrics --serve is for fdpass-metrics.service: "
                                "it needs one listening socket from systemd.\n");
                return EXIT_FAILURE;
        }

        /* A kernel without Landlock for TCP (before 6.7) leaves it to the unit's own filter. */
        (void) confine(CONFINE_MAY_CONNECT);

        r = metrics_http_run(&s);
        if (r < 0)
                fprintf(stderr, "Serving metrics failed: %s.\n", strerror(-r));

        LIST_FOREACH(i, &s.connections)
                metrics_http_free(CONTAINER_OF(i, MetricsRequest, link));
        sd_event_source_disable_unref(s.idle);
        sd_event_unref(s.event);
        return r;
}
