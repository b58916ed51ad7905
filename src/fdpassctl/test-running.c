/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* fdpassctl test --running: the broker gets the client's first bytes, and says what it would do with it. */

#include <stdio.h>

#include "fdpassctl/bus.h"
#include "fdpassctl/described.h"
#include "fdpassctl/show.h"

/* Bytes while they are put together. What does not fit is left out, and found out at the end. */
typedef struct Bytes {
        uint8_t p[16384];
        size_t n;
        bool overrun;
} Bytes;

static void add(Bytes *b, const void *p, size_t n) {
        if (n > sizeof(b->p) - b->n) {
                b->overrun = true;
                return;
        }

        if (n > 0)
                memcpy(b->p + b->n, p, n);
        b->n += n;
}

static void add_text(Bytes *b, const char *s) {
        add(b, s, strlen(s));
}

static void add_u16(Bytes *b, size_t u) {
        add(b, (uint8_t[]){ (uint8_t) (u >> 8), (uint8_t) u }, 2);
}

static void make_request(const Described *d, Bytes *b) {
        add(b, d->facts.method.p, d->facts.method.n);
        add_text(b, " ");
        add(b, d->facts.path.p, d->facts.path.n);
        add_text(b, " HTTP/1.1\r\n");
        add_text(b, "Host: ");
        add(b, d->host.text, d->host.n); /* empty where none was given (RFC 9112 3.2) */
        add_text(b, "\r\n");
        add(b, d->facts.fields.p, d->facts.fields.n);
        add_text(b, "\r\n");
}

ProbeReason described_check_request(const Described *d, size_t max_head_size) {
        Bytes b = {};
        Probe probe;

        /* Who says nothing of a host asks about routes that need none, not what is wrong without one. */
        if (d->host.n == 0)
                return PROBE_REASON_NONE;

        make_request(d, &b);

        return !b.overrun && probe_client(b.p, b.n, max_head_size, &probe) == PROBE_MALFORMED ? probe.reason
                                                                                              : PROBE_REASON_NONE;
}

/* RFC 6066 3, RFC 7301 3.1 */
static void make_extensions(const Described *d, Bytes *b) {
        size_t n_name = d->host.n, n_alpn = d->tls.alpn.n;

        if (n_name > 0) {
                add_u16(b, 0);
                add_u16(b, n_name + 5);
                add_u16(b, n_name + 3);
                add(b, "", 1);
                add_u16(b, n_name);
                add(b, d->host.text, n_name);
        }
        if (n_alpn > 0) {
                add_u16(b, 16);
                add_u16(b, n_alpn + 2);
                add_u16(b, n_alpn);
                add(b, d->alpn, n_alpn);
        }
}

/* The smallest ClientHello (RFC 8446 4.1.2), in one record. */
static void make_hello(const Described *d, Bytes *b) {
        static const uint8_t random[32];
        Bytes extensions = {};
        size_t n;

        make_extensions(d, &extensions);
        n = 2 + sizeof(random) + 1 + 4 + 2 + 2 + extensions.n;

        add(b, (uint8_t[]){ 22, 3, 1 }, 3);
        add_u16(b, n + 4);
        add(b, (uint8_t[]){ 1, 0 }, 2);
        add_u16(b, n);
        add(b, (uint8_t[]){ 3, 3 }, 2);
        add(b, random, sizeof(random));
        add(b, (uint8_t[]){ 0, 0, 2, 0x13, 0x01, 1, 0 }, 7); /* no session; one cipher suite; no compression */
        add_u16(b, extensions.n);
        add(b, extensions.p, extensions.n);
}

/* Returns 0, or -EINVAL, which it has said. */
static int make_bytes(const Described *d, Bytes *b) {
        if (d->facts.head.p)
                add(b, d->facts.head.p, d->facts.head.n);
        else if (d->facts.protocol == 1U << PROBE_HTTP)
                make_request(d, b);
        else if (d->facts.protocol == 1U << PROBE_TLS)
                make_hello(d, b);
        else if (d->facts.protocol == 1U << PROBE_HTTP2)
                add_text(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        else if (d->facts.protocol == 1U << PROBE_SSH)
                add_text(b, "SSH-2.0-test\r\n");
        else if (d->facts.protocol != PROTOCOL_SILENT) {
                fprintf(stderr, "With --running, say what the client sends: --host=, --sni=, --bytes= or --protocol=.\n");
                return -EINVAL;
        }

        if (b->overrun) {
                fprintf(stderr, "That is more than a broker is asked about: 16 KiB.\n");
                return -EINVAL;
        }

        return 0;
}

static const char *item(const Value *list, size_t i) {
        return i < list->n_items && list->items[i].kind == VALUE_STRING ? list->items[i].s : "";
}

static int print_outcome(const Value *o) {
        const char *result = value_string(o, "Result"), *reason = value_string(o, "Reason");
        const Value *units = value_get(o, "Units"), *workers = value_get(o, "Workers"), *states = value_get(o, "States");

        if (arg_quiet)
                ; /* the exit status says it */
        else if (arg_json != JSON_OFF) {
                value_print_json(stdout, o, arg_json);
                putchar('\n');
        } else if (streq(result, "more"))
                printf("The broker would wait for more: this is only the beginning of a head.\n");
        else if (streq(result, "route"))
                for (size_t i = 0; i < units->n_items; i++) {
                        printf("%s ", i == 0 ? "→" : " ");
                        text_print(stdout, item(units, i));
                        printf(" → ");
                        text_print(stdout, item(workers, i));
                        printf(" %s%s%s\n", terminal_color(state_color(item(states, i))), item(states, i),
                               terminal_color(COLOR_NONE));
                }
        else if (streq(reason, "no-route"))
                printf("No route takes this client.\n");
        else {
                printf("The broker would refuse this: ");
                text_print(stdout, reason);
                printf(".\n");
        }

        return streq(result, "route") ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int ask(sd_bus *bus, const Described *d, const Bytes *b, Value *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, NULL, BUS_PATH, BUS_INTERFACE, "Test");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", d->facts.listener, d->source_text ?: "");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', b->p, b->n);
        if (r >= 0)
                r = sd_bus_call(bus, m, 0, &error, &reply);
        if (r >= 0)
                r = value_read(reply, ret);
        if (r < 0)
                fprintf(stderr, "%s\n", error.message ?: strerror(-r));

        return r;
}

int test_running(const Described *d) {
        _cleanup_value_ Value outcome = {};
        _cleanup_bus_ sd_bus *bus = NULL;
        Bytes b = {};

        if (make_bytes(d, &b) < 0 || bus_open(&bus) < 0 || ask(bus, d, &b, &outcome) < 0)
                return EXIT_FAILURE;

        return print_outcome(&outcome);
}
