/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of clients behind load balancers: what it keeps, and its bound. */

#include "handoff-fixture.h"

#include "broker/state/client-context.h"
#include "broker/state/proxied.h"

/* Notes a client with this port and these TLVs. */
static void note(ProxiedTable *table, int fd, uint16_t port, Slice tlvs) {
        Client c = { .fd = fd };

        c.address.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
        c.local.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = (uint16_t) (port + 1) };
        if (tlvs.n > 0)
                assert_int_equal(client_set_proxy_tlvs(&c, tlvs), 0);
        proxied_note(table, &c);
        free(c.context);
}

static bool is_known(const ProxiedTable *table, int fd, uint16_t port, Slice tlvs) {
        ProxiedClient facts;

        return proxied_find(table, fd, &facts) && facts.address.in.sin_port == port &&
               facts.local.in.sin_port == port + 1 && slice_equal(facts.tlvs, tlvs);
}

static int make_socket(void) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        return fd;
}

/* An entry belongs to one socket. Its last facts count. */
static void test_entries(void **state) {
        const Slice tlvs = SLICE_LITERAL("\x02\0\1a");
        int a = make_socket(), b = make_socket();
        ProxiedTable table = {};
        ProxiedClient facts;

        assert_false(proxied_find(&table, a, &facts));
        note(&table, a, 1, (Slice){});
        assert_true(is_known(&table, a, 1, (Slice){}));
        assert_false(proxied_find(&table, b, &facts));
        assert_false(proxied_find(&table, -EBADF, &facts));

        note(&table, b, 3, tlvs);
        note(&table, a, 5, tlvs);
        assert_true(is_known(&table, a, 5, tlvs));
        assert_true(is_known(&table, b, 3, tlvs));
        note(&table, a, 7, (Slice){});
        assert_true(is_known(&table, a, 7, (Slice){}));

        proxied_done(&table);
        fd_close(a);
        fd_close(b);
}

/* However many clients there are, the table does not grow. The newest is there, and old ones are not. */
static void test_bound(void **state) {
        int old = make_socket(), again = make_socket();
        ProxiedTable table = {};
        ProxiedClient facts;

        note(&table, old, 1, (Slice){});
        note(&table, again, 1, (Slice){});
        for (uint16_t i = 0; i < 40000; i++) {
                int fd = make_socket();

                note(&table, fd, i, (Slice){});
                assert_true(is_known(&table, fd, i, (Slice){}));
                fd_close(fd);
                if (i % 100 == 0) /* the worker gets it again and again */
                        note(&table, again, i, (Slice){});
        }
        assert_false(proxied_find(&table, old, &facts));
        assert_true(is_known(&table, again, 39900, (Slice){}));

        proxied_done(&table);
        fd_close(old);
        fd_close(again);
}

TEST_MAIN(TEST(test_entries),
          TEST(test_bound))
