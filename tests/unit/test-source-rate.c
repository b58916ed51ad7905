/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* RateLimitPerSource=: how many connections a source may make, for how long each counts, and what a flood of sources does. */

#include "tcp-fixture.h"

#include <arpa/inet.h>

#include "broker/state/source-rate.h"

#define T0 (1000 * USEC_PER_SEC)

static SourceRates *make_rates(unsigned n, usec_t interval) {
        SourceRates *rates = NULL;

        assert_int_equal(source_rates_reserve(&rates), 0);
        source_rates_set(&rates, &(SourceRate){ n, interval });
        return rates;
}

static ClientAddress ipv4(uint32_t address) {
        return (ClientAddress){ .in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) } };
}

/* Returns how many of @n connections at @at are allowed. */
static unsigned count(SourceRates *rates, uint32_t address, unsigned n, usec_t at) {
        ClientAddress a = ipv4(address);
        unsigned allowed = 0;

        while (n-- > 0)
                allowed += source_rates_count(rates, &a, at);
        return allowed;
}

/* All of a burst counts for the whole interval, a refused one does not, and another source counts by itself. */
static void test_burst(void **state) {
        SourceRates *rates = make_rates(100, 10 * USEC_PER_SEC);

        assert_int_equal(count(rates, 1, 150, T0), 100);
        assert_int_equal(count(rates, 2, 7, T0), 7);
        assert_int_equal(count(rates, 1, 50, T0 + 10 * USEC_PER_SEC - 1), 0);
        assert_int_equal(count(rates, 1, 150, T0 + 10 * USEC_PER_SEC), 100);
        source_rates_free(rates);
}

/* In no seven eighths of an interval there are more than the limit, and a source that stays below it is never refused. */
static void test_stream(void **state) {
        static const usec_t gaps[] = { 1000, 3333, 99 * USEC_PER_MSEC, 101 * USEC_PER_MSEC, 240 * USEC_PER_MSEC };
        usec_t times[2048];

        for (size_t i = 0; i < ELEMENTSOF(gaps); i++) {
                SourceRates *rates = make_rates(10, USEC_PER_SEC);
                size_t n = 0, n_asked = 0;

                for (usec_t at = T0; at < T0 + 20 * USEC_PER_SEC; at += gaps[i], n_asked++)
                        if (count(rates, 1, 1, at) == 1)
                                times[n++] = at;

                for (size_t k = 10; k < n; k++)
                        assert_true(times[k] - times[k - 10] > 7 * USEC_PER_SEC / 8);
                assert_true(n <= 20 * 10 * 8 / 7 + 10);
                if (gaps[i] > 115 * USEC_PER_MSEC)
                        assert_int_equal(n, n_asked);
                else
                        assert_true(n >= 20 * 10 - 10 || n == n_asked);
                source_rates_free(rates);
        }
}

/* A change of the number keeps what was counted, one of the interval does not, and without a limit the table goes. */
static void test_change(void **state) {
        SourceRates *rates = make_rates(5, USEC_PER_SEC);

        assert_int_equal(count(rates, 1, 5, T0), 5);
        source_rates_set(&rates, &(SourceRate){ 8, USEC_PER_SEC });
        assert_int_equal(count(rates, 1, 9, T0), 3);
        source_rates_set(&rates, &(SourceRate){ 2, USEC_PER_SEC });
        assert_int_equal(count(rates, 1, 9, T0), 0);
        source_rates_set(&rates, &(SourceRate){ 2, 2 * USEC_PER_SEC });
        assert_int_equal(count(rates, 1, 9, T0), 2);
        source_rates_set(&rates, &(SourceRate){});
        assert_null(rates);
        assert_int_equal(count(rates, 1, 9, T0), 9);
}

/* A million sources that come once do not make the table forget one that is at its limit. */
static void test_flood_of_sources(void **state) {
        SourceRates *rates = make_rates(3, 3600 * USEC_PER_SEC);

        assert_int_equal(count(rates, 0x0a000001, 4, T0), 3);
        for (uint32_t i = 0; i < 1000000; i++)
                assert_int_equal(count(rates, 0x0b000000 + i, 1, T0 + i), 1);
        assert_int_equal(count(rates, 0x0a000001, 4, T0 + USEC_PER_SEC), 0);
        source_rates_free(rates);
}

/* Addresses of one IPv6 network are one source; a client that does not come by IP is none. */
static void test_kinds_of_addresses(void **state) {
        SourceRates *rates = make_rates(2, USEC_PER_SEC);
        ClientAddress in6 = { .in6 = { .sin6_family = AF_INET6 } }, local = { .sa = { .sa_family = AF_UNIX } };
        unsigned n = 0;

        in6.in6.sin6_addr.s6_addr[0] = 0x20;
        for (uint8_t i = 0; i < 9; i++) {
                in6.in6.sin6_addr.s6_addr[15] = i;
                n += source_rates_count(rates, &in6, T0);
                assert_true(source_rates_count(rates, &local, T0));
        }
        assert_int_equal(n, 2);
        in6.in6.sin6_addr.s6_addr[7] = 1; /* another network */
        assert_true(source_rates_count(rates, &in6, T0));
        source_rates_free(rates);
}

static void test_text(void **state) {
        char text[SOURCE_RATE_TEXT_MAX];

        assert_string_equal(source_rate_to_text(&(SourceRate){ 100, 10 * USEC_PER_SEC }, text), "100/10s");
        assert_string_equal(source_rate_to_text(&(SourceRate){ 7, 1500 * USEC_PER_MSEC }, text), "7/1500ms");
        assert_string_equal(source_rate_to_text(&(SourceRate){ 7, 10001 }, text), "7/10001us");
        assert_string_equal(source_rate_to_text(&(SourceRate){ UINT32_MAX, 86400 * USEC_PER_SEC }, text), "4294967295/86400s");
        assert_string_equal(source_rate_to_text(&(SourceRate){ 64, 0 }, text), "64");
}

static const RouteSpec by_host = { .unit = "a.socket", .worker = "a", .host = "example.org" };

static void use_rate(unsigned n, usec_t interval, ProxyProtocol proxy) {
        Config *config = config_of(&by_host, 1);

        config->listener_default.source_rate = (SourceRate){ n, interval };
        if (proxy != PROXY_PROTOCOL_NO)
                trust_all_proxies(config, proxy);
        use_config(config);
}

/* The broker refuses what is beyond, with its own reason and line, and lets the source in again later. */
static void test_broker(void **state) {
        int worker = listen_at("a", 64), clients[8], again, stderr_fd, log = log_to_pipe(&stderr_fd);
        char answer[32] = {};

        add_tcp("tcp");
        use_rate(3, 2 * USEC_PER_SEC, PROXY_PROTOCOL_NO);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = connect_tcp();
                say(clients[i], "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
                WAIT_FOR(n_accepted() == i + 1);
        }
        WAIT_FOR(n_refused(REFUSAL_SOURCE_RATE) == 5);
        assert_int_equal(listener_n_refused("tcp", REFUSAL_SOURCE_RATE), 5);
        expect_line(log, "makes more connections than RateLimitPerSource= allows (source-rate), 3/2s are allowed; it came from 127.0.0.1.");
        WAIT_FOR(has_event(clients[7], POLLIN));
        assert_true(recv(clients[7], answer, sizeof(answer) - 1, MSG_DONTWAIT) > 12);
        assert_non_null(startswith(answer, "HTTP/1.1 503"));
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(take_byte(worker), 'G');

        /* A client of AF_UNIX does not count, and without the limit all are let in. */
        again = dial("public");
        say(again, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_int_equal(take_byte(worker), 'G');
        fd_close(again);
        USE(by_host);
        again = connect_tcp();
        say(again, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        assert_int_equal(take_byte(worker), 'G');
        assert_int_equal(n_refused(REFUSAL_SOURCE_RATE), 5);

        log_to_stderr(log, stderr_fd);
        fd_close(again);
        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

/* Behind a load balancer the address in the PROXY header counts, and not that of the load balancer. */
static void test_proxied(void **state) {
        int worker = listen_at("a", 64), clients[8];

        add_tcp("tcp");
        use_rate(2, 3600 * USEC_PER_SEC, PROXY_PROTOCOL_REQUIRE);
        for (size_t i = 0; i < ELEMENTSOF(clients); i++) {
                clients[i] = connect_tcp();
                say(clients[i], i % 2 ? "PROXY TCP4 192.0.2.7 192.0.2.1 1 80\r\n" : "PROXY TCP4 192.0.2.8 192.0.2.1 1 80\r\n");
                say(clients[i], "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
        }
        WAIT_FOR(n_refused(REFUSAL_SOURCE_RATE) == 4);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(take_byte(worker), 'G');

        close_all(clients, ELEMENTSOF(clients));
        fd_close(worker);
}

TEST_MAIN(cmocka_unit_test(test_burst),
          cmocka_unit_test(test_stream),
          cmocka_unit_test(test_change),
          cmocka_unit_test(test_flood_of_sources),
          cmocka_unit_test(test_kinds_of_addresses),
          cmocka_unit_test(test_text),
          BROKER_TEST(test_broker),
          BROKER_TEST(test_proxied))
