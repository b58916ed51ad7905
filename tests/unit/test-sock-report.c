/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports of the kernel: their meaning, and that broken ones of each kind are harmless. */

#include "test.h"

#include "connections-fixture.h"
#include "connections/sock-report.h"

static SockReport read_one(const void *p, size_t n) {
        const uint8_t *q = p;
        SockReport r;

        assert_true(sock_report_next(&q, &n, &r));
        return r;
}

static SockReport read_info(const struct tcp_info *info) {
        DiagMessage m = diag_message(77, info);

        return read_one(&m, sizeof(m));
}

/* A report with everything in it. */
static void test_end(void **state) {
        const struct tcp_info info = INFO_ENDED;
        DiagMessage m = diag_message(UINT64_C(0x123456789abcdef), &info);
        SockReport r = read_one(&m, sizeof(m));

        assert_int_equal(r.kind, SOCK_REPORT_END);
        assert_int_equal(r.cookie, UINT64_C(0x123456789abcdef));
        assert_int_equal(r.port, 80);
        assert_true(r.has_counts);
        assert_int_equal(r.n_in, 100);
        assert_int_equal(r.n_out, 2000);
        assert_int_equal(r.rtt, 700);
        assert_int_equal(r.n_retransmits, 3);
        assert_int_equal(r.ended_before, 0);
}

/* Counts of Linux 6.18 for each way in which a connection ended (bytes that the program saw: in, out). */
static void test_ways_to_end(void **state) {
        static const struct {
                const char *how;
                struct tcp_info info;
                uint64_t n_in, n_out;
        } cases[] = {
                { "worker first, FIN unread", INFO_ENDED, 100, 2000 },
                { "reset by the client", { .tcpi_segs_in = 5, .tcpi_data_segs_in = 1, .tcpi_bytes_received = 100,
                                           .tcpi_bytes_acked = 2000, .tcpi_bytes_sent = 2000 }, 100, 2000 },
                { "one byte unread", { .tcpi_segs_in = 5, .tcpi_data_segs_in = 2, .tcpi_bytes_received = 101,
                                       .tcpi_bytes_acked = 2000, .tcpi_bytes_sent = 2000 }, 101, 2000 },
                { "bytes sent again", { .tcpi_segs_in = 35, .tcpi_data_segs_in = 1, .tcpi_bytes_received = 101,
                                        .tcpi_bytes_acked = 3910657, .tcpi_bytes_sent = 3958272, .tcpi_bytes_retrans = 47616 },
                  100, 3910656 },
                { "not all was acknowledged", { .tcpi_segs_in = 5, .tcpi_data_segs_in = 1, .tcpi_bytes_received = 100,
                                                .tcpi_bytes_acked = 1500, .tcpi_bytes_sent = 2000 }, 100, 1500 },
                { "no byte, worker first", { .tcpi_segs_in = 3, .tcpi_bytes_received = 1, .tcpi_bytes_acked = 1 }, 0, 0 },
                { "no byte, reset", { .tcpi_segs_in = 3 }, 0, 0 },
                { "no byte, only the client's FIN", { .tcpi_segs_in = 3, .tcpi_bytes_received = 1 }, 0, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                SockReport r = read_info(&cases[i].info);

                if (!r.has_counts || r.n_in != cases[i].n_in || r.n_out != cases[i].n_out)
                        fail_msg("%s: %d, %llu in, %llu out", cases[i].how, r.has_counts, (unsigned long long) r.n_in,
                                 (unsigned long long) r.n_out);
        }
}

/* A client that did not send its FIN in the time that the kernel waits: it ended then, and all bytes are bytes. */
static void test_no_fin(void **state) {
        const struct tcp_info info = { .tcpi_segs_in = 5, .tcpi_data_segs_in = 1, .tcpi_bytes_received = 100, .tcpi_bytes_acked = 2001,
                                       .tcpi_bytes_sent = 2000, .tcpi_last_ack_recv = 2004 };
        SockReport r = read_info(&info);

        assert_int_equal(r.n_in, 100);
        assert_int_equal(r.ended_before, 2004 * USEC_PER_MSEC);
}

/* After close(2) with SO_LINGER of 0 s all counts are 0, also those of segments. */
static void test_cleared(void **state) {
        const struct tcp_info info = { .tcpi_last_data_recv = 36308796 };

        assert_false(read_info(&info).has_counts);
}

/* Of a live connection. A minisocket is none, although it has the cookie. */
static void test_listed(void **state) {
        const struct tcp_info info = INFO_ENDED;
        DiagMessage m = diag_listed(5, 9, &info);
        SockReport r = read_one(&m, sizeof(m));

        assert_int_equal(r.kind, SOCK_REPORT_LISTED);
        assert_int_equal(r.sequence, 9);
        assert_int_equal(r.cookie, 5);
        assert_false(r.has_counts);
        m.socket.idiag_timer = 3;
        assert_int_equal(read_one(&m, sizeof(m)).kind, SOCK_REPORT_OTHER);
}

/* Older kernels have a shorter tcp_info, newer ones a longer. Without the last field that is needed there are no counts. */
static void test_lengths(void **state) {
        const struct tcp_info info = INFO_ENDED;
        size_t needed = offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans);
        uint8_t bytes[sizeof(DiagMessage) + 256] = {};
        DiagMessage m = diag_message(77, &info);

        for (size_t length = 0; length <= sizeof(info) + 200; length++) {
                SockReport r;

                m.info_attribute.nla_len = (uint16_t) (sizeof(struct nlattr) + length);
                m.header.nlmsg_len = (uint32_t) (offsetof(DiagMessage, info) + length);
                memcpy(bytes, &m, sizeof(m));
                r = read_one(bytes, sizeof(bytes));
                assert_int_equal(r.kind, SOCK_REPORT_END);
                assert_int_equal(r.has_counts, length >= needed);
        }
}

/* Every length of the message, of the attribute and of the header: no byte beyond the end is read. */
static void test_cut(void **state) {
        const struct tcp_info info = INFO_ENDED;

        for (size_t n = 0; n <= sizeof(DiagMessage); n++)
                for (size_t attribute = 0; attribute < 12; attribute++) {
                        _cleanup_free_ uint8_t *copy = malloc(MAX(n, (size_t) 1));
                        DiagMessage m = diag_message(77, &info);
                        const uint8_t *p = copy;
                        size_t left = n;
                        SockReport r;

                        m.header.nlmsg_len = (uint32_t) n;
                        m.protocol_attribute.nla_len = (uint16_t) attribute;
                        memcpy(copy, &m, n);
                        if (sock_report_next(&p, &left, &r))
                                assert_false(r.has_counts && n < sizeof(m) - sizeof(info));
                }
}

/* Several messages in one datagram, with the end of a list and an error. */
static void test_many(void **state) {
        const struct tcp_info info = INFO_ENDED;
        struct {
                DiagMessage one, two;
                struct { struct nlmsghdr header; int rest; } done;
                struct { struct nlmsghdr header; struct nlmsgerr error; } failed;
        } m = {
                .one = diag_listed(1, 3, &info),
                .two = diag_listed(2, 3, &info),
                .done = { .header = diag_done(3) },
                .failed = { .header = { .nlmsg_len = sizeof(m.failed), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 4 }, .error.error = -EBUSY },
        };
        const uint8_t *p = (const uint8_t *) &m;
        size_t n = sizeof(m);
        SockReport r;

        assert_true(sock_report_next(&p, &n, &r) && r.cookie == 1);
        assert_true(sock_report_next(&p, &n, &r) && r.cookie == 2);
        assert_true(sock_report_next(&p, &n, &r) && r.kind == SOCK_REPORT_DONE && r.sequence == 3);
        assert_true(sock_report_next(&p, &n, &r) && r.kind == SOCK_REPORT_FAILED && r.error == -EBUSY);
        assert_false(sock_report_next(&p, &n, &r));
}

TEST_MAIN(TEST(test_end),
          TEST(test_ways_to_end),
          TEST(test_no_fin),
          TEST(test_cleared),
          TEST(test_listed),
          TEST(test_lengths),
          TEST(test_cut),
          TEST(test_many))
