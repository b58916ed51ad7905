/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The facts of a client: metadata, TLS, consumed bytes, other versions, and the longest of all. */

#include "libfdpass-fixture.h"

static void assert_bytes(const void *p, size_t n, const char *expected, size_t n_expected) {
        assert_int_equal(n, n_expected);
        assert_memory_equal(p, expected, n);
}

static void test_metadata(void **state) {
        const struct sockaddr_in *in;
        const Message m = example();
        struct fdpass *got;
        int client[2], conn, fd;
        const void *p;
        socklen_t len;
        Fixture f;
        size_t n;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, client[1]), 0);
        fd = fdpass_accept(f.fd, SOCK_CLOEXEC, &got);
        assert_true(fd >= 0);

        in = (const struct sockaddr_in *) (const void *) fdpass_peer(got, &len);
        assert_int_equal(len, sizeof(*in));
        assert_memory_equal(in, &m.source.in, sizeof(*in));
        in = (const struct sockaddr_in *) (const void *) fdpass_local(got, &len);
        assert_int_equal(len, sizeof(*in));
        assert_memory_equal(in, &m.destination.in, sizeof(*in));

        assert_string_equal(fdpass_authority(got), "example.org");
        assert_string_equal(fdpass_protocol(got), "tls");
        assert_string_equal(fdpass_route(got), "chat.socket");
        assert_string_equal(fdpass_listener(got), "https");
        p = fdpass_alpn(got, &n);
        assert_bytes(p, n, "h2", 2);
        p = fdpass_unique_id(got, &n);
        assert_bytes(p, n, "\0\1", 2);
        p = fdpass_data(got, &n);
        assert_bytes(p, n, "user=7", 6);
        p = fdpass_consumed(got, &n);
        assert_bytes(p, n, "GET / HTTP/1.1\r\n", 16);
        p = fdpass_tlv(got, FDPASS_TLV_SSL, &n);
        assert_bytes(p, n, "\1\0\0\0\0", 5);
        p = fdpass_tlv(got, 0xEA, &n);
        assert_bytes(p, n, "\1vpce", 5);
        assert_null(fdpass_tlv(got, 0x30, &n));
        assert_int_equal(n, 0);

        p = fdpass_proxy_tlv(got, FDPASS_TLV_AUTHORITY, &n);
        assert_bytes(p, n, "EXAMPLE.net", 11); /* and not the client's own */
        p = fdpass_proxy_tlv(got, 0xEA, &n);
        assert_bytes(p, n, "\1vpce", 5);
        p = fdpass_proxy_tlv(got, 0xE0, &n);
        assert_bytes(p, n, "gcp", 3);
        assert_non_null(fdpass_proxy_tlv(got, 0xF0, &n));
        assert_int_equal(n, 0);
        assert_null(fdpass_proxy_tlv(got, FDPASS_TLV_SSL, &n));
        assert_int_equal(n, 0);
        assert_null(fdpass_proxy_tlv(got, 0x1E0, NULL));
        assert_null(fdpass_tlv(got, 0x120, NULL));
        assert_true(fdpass_deadline(got) == 123456789);
        assert_int_equal(fdpass_sender(got), geteuid());

        fdpass_free(got);
        fd_close(fd);
        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
}

/* Takes a client with this SSL, an array of bytes with a NUL behind it. Returns the object. */
#define TAKE_WITH_SSL(bytes) take_with_ssl((Slice){ (const uint8_t *) (bytes), sizeof(bytes) - 1 })

static struct fdpass *take_with_ssl(Slice ssl) {
        struct fdpass *got;
        Message m = example();
        int client[2], conn, fd;
        Fixture f;

        m.ssl = ssl;
        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, client[1]), 0);
        fd = fdpass_accept(f.fd, SOCK_CLOEXEC, &got);
        assert_true(fd >= 0);
        fd_close(fd);
        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
        return got;
}

/* The facts of TLS: all, those of a client without a name and certificate, and values that are no text. */
static void test_tls_facts(void **state) {
        struct fdpass *f = TAKE_WITH_SSL("\5\0\0\0\0" "\xe0\0\6a.test" "\x21\0\7TLSv1.3" "\x22\0\5alice" "\x23\0\3AES");

        assert_true(fdpass_is_tls(f));
        assert_string_equal(fdpass_tls_server_name(f), "a.test");
        assert_string_equal(fdpass_tls_version(f), "TLSv1.3");
        assert_string_equal(fdpass_tls_client_name(f), "alice");
        assert_string_equal(fdpass_tls_cipher(f), "AES");
        assert_int_equal(fdpass_tls_client(f), FDPASS_TLS_CLIENT_VERIFIED);
        fdpass_free(f);

        f = TAKE_WITH_SSL("\1\0\0\0\1" "\xe0\0\0");
        assert_true(fdpass_is_tls(f));
        assert_string_equal(fdpass_tls_server_name(f), "");
        assert_null(fdpass_tls_version(f));
        assert_int_equal(fdpass_tls_client(f), FDPASS_TLS_CLIENT_NONE);
        fdpass_free(f);

        f = TAKE_WITH_SSL("\3\0\0\0\22" "\x22\0\3a\nb" "\x21\0\7TLSv1.2" "\x21\0\1x");
        assert_null(fdpass_tls_client_name(f));
        assert_null(fdpass_tls_server_name(f));
        assert_string_equal(fdpass_tls_version(f), "TLSv1.2");
        assert_int_equal(fdpass_tls_client(f), FDPASS_TLS_CLIENT_UNVERIFIED);
        fdpass_free(f);

        f = TAKE_WITH_SSL("");
        assert_false(fdpass_is_tls(f));
        assert_int_equal(fdpass_tls_client(f), FDPASS_TLS_CLIENT_NONE);
        assert_null(fdpass_tls_cipher(f));
        fdpass_free(f);
}

/* As many bytes of strings as a message can have. */
static void test_tls_facts_longest(void **state) {
        static const uint8_t tls_types[] = { 0xe0, 0x21, 0x22, 0x23 };
        uint8_t ssl[FDPASS_SSL_MAX] = { 1 };
        size_t n = FDPASS_SSL_TLVS_AT, rest;
        struct fdpass *f;

        for (size_t i = 0; i < ELEMENTSOF(tls_types); i++) {
                rest = i == 3 ? sizeof(ssl) - n - 3 : 255;
                ssl[n] = tls_types[i];
                ssl[n + 1] = (uint8_t) (rest >> 8);
                ssl[n + 2] = (uint8_t) rest;
                memset(ssl + n + 3, 'a', rest);
                n += 3 + rest;
        }
        assert_int_equal(n, sizeof(ssl));

        f = take_with_ssl((Slice){ ssl, n });
        assert_int_equal(strlen(fdpass_tls_client_name(f)), 255);
        assert_int_equal(strlen(fdpass_tls_cipher(f)), rest);
        fdpass_free(f);
}

static void test_version(void **state) {
        static const char message[] = "\r\n\r\n\0\r\nQUIT\n\x21\0\0\4\xe0\0\1\2";
        int client[2], conn;
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        send_raw(conn, message, sizeof(message) - 1, client[1], 1);
        assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EPROTONOSUPPORT);
        assert_int_equal(handoff_receipt(conn, false), RECEIPT_REFUSED);

        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
}

/* A caller without the object can't read the consumed bytes, so it must not get the client. */
static void test_consumed_unread(void **state) {
        Message m = example();
        int client[2], conn;
        Fixture f;

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, client[1]), 0);
        assert_int_equal(fdpass_accept(f.fd, 0, NULL), -EMSGSIZE);
        assert_int_equal(handoff_receipt(conn, false), RECEIPT_ERROR);

        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
}

/* The longest valid message. */
static void test_longest(void **state) {
        static uint8_t bytes[FDPASS_CONSUMED_MAX];
        Message m = example();
        int client[2], conn, fd;
        struct fdpass *got;
        Fixture f;
        size_t n;

        m.data = (Slice){ bytes, FDPASS_DATA_MAX };
        m.consumed = (Slice){ bytes, sizeof(bytes) };
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t) (i * 31);

        fixture_open(&f, SOCK_SEQPACKET, 0, 8);
        client_pair(client);
        conn = fixture_connect(&f);
        assert_int_equal(send_message(conn, &m, client[1]), 0);
        fd = fdpass_accept(f.fd, 0, &got);
        assert_true(fd >= 0);
        assert_memory_equal(fdpass_consumed(got, &n), bytes, sizeof(bytes));
        assert_int_equal(n, sizeof(bytes));
        assert_memory_equal(fdpass_data(got, &n), bytes, FDPASS_DATA_MAX);
        assert_string_equal(fdpass_listener(got), "https");

        fdpass_free(got);
        fd_close(fd);
        fd_close(conn);
        pair_close(client);
        fixture_close(&f);
}

TEST_MAIN(TEST(test_metadata),
          TEST(test_tls_facts),
          TEST(test_tls_facts_longest),
          TEST(test_version),
          TEST(test_consumed_unread),
          TEST(test_longest))
