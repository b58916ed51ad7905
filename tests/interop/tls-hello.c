/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Feeds ClientHellos to OpenSSL and to the probe, and compares the name and the protocols that both read
 * from them. They are the files of the directory that is named on the command line, the made ones of
 * tls-hello.h, and changed copies of both. The probe may refuse what OpenSSL takes; what it accepts it must
 * have understood as OpenSSL does.
 *
 * Exit status: 0 agreement, 1 some hello is read differently.
 */

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <unistd.h>

#include "../fuzz/probe-text.h"
#include "../unit/tls-hello.h"
#include "basic/fd.h"

#define MUTANTS_PER_HELLO 40

/* What OpenSSL's callback saw. */
typedef struct Report {
        bool was_called;
        Slice name; /* the whole extension; both point into the SSL object */
        Slice alpn;
} Report;

typedef struct Totals {
        unsigned n_same;
        unsigned n_refused;    /* by the probe alone */
        unsigned n_both;       /* by both */
        unsigned n_lenient;    /* by OpenSSL alone, at this stage */
        unsigned n_different;
} Totals;

static int client_hello(SSL *ssl, int *ret_alert, void *userdata) {
        Report *report = userdata;

        report->was_called = true;
        (void) SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &report->name.p, &report->name.n);
        (void) SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                         &report->alpn.p, &report->alpn.n);

        *ret_alert = SSL_AD_INTERNAL_ERROR;
        return SSL_CLIENT_HELLO_ERROR; /* seen enough */
}

/* The one name in the extension, as the probe writes it; false where OpenSSL takes no name from it. */
static bool name_in_extension(Reader r, char ret[static 256]) {
        uint16_t list, n;
        uint8_t type;
        Slice name;

        if (!reader_u16(&r, &list) || list != r.n ||
            !reader_u8(&r, &type) || type != TLSEXT_NAMETYPE_host_name ||
            !reader_u16(&r, &n) || !reader_take(&r, n, &name) || r.n > 0 ||
            n < 1 || n > TLSEXT_MAXLEN_host_name || memchr(name.p, 0, n))
                return false;

        for (size_t i = 0; i < n; i++)
                ret[i] = (char) ascii_lower(name.p[i]);
        ret[n - (ret[n - 1] == '.')] = 0;
        return true;
}

/* A name that the probe does not use must be none that a Host= could have. */
static bool same_name(Slice extension, const TlsFacts *facts) {
        char name[256] = "";
        bool has_name = extension.n > 0 && name_in_extension(extension, name);
        struct in_addr address;
        ProbeName host;

        if (!facts->name_is_unusable)
                return has_name == (extension.n > 0) && streq(name, facts->name.text);

        return facts->name.n == 0 && (!has_name || !probe_name_set(&host, slice_from_string(name)) ||
                                      inet_pton(AF_INET, host.text, &address) == 1);
}

static bool is_grease(Slice s) {
        return s.n == 2 && s.p[0] == s.p[1] && (s.p[0] & 0xf) == 0xa;
}

static bool same_protocols(Reader theirs, TlsReader ours) {
        TlsProtocol protocol;
        uint16_t list;

        if (theirs.n > 0 && (!reader_u16(&theirs, &list) || list != theirs.n))
                return false;

        while (theirs.n > 0) {
                uint8_t n;
                Slice s;

                if (!reader_u8(&theirs, &n) || !reader_take(&theirs, n, &s))
                        return false;
                if (is_grease(s))
                        continue;
                if (!tls_next_alpn(&ours, &protocol) ||
                    !slice_equal(s, (Slice){ protocol.bytes, protocol.n }))
                        return false;
        }

        return !tls_next_alpn(&ours, &protocol);
}

static void compare(SSL_CTX *context, const char *origin, const uint8_t *p, size_t n, Totals *totals) {
        SSL *ssl = SSL_new(context);
        BIO *in = BIO_new_mem_buf(p, (int) n), *out = BIO_new(BIO_s_mem());
        Report report = {};
        TlsFacts facts;
        ProbeVerdict v;

        if (!ssl || !in || !out)
                errx(EXIT_FAILURE, "OpenSSL has no memory.");

        SSL_CTX_set_client_hello_cb(context, client_hello, &report);
        SSL_set_bio(ssl, in, out); /* owns both now */
        (void) SSL_accept(ssl);
        ERR_clear_error();

        v = probe_tls(p, n, HELLO_MAX, &facts);

        if (v != PROBE_MATCH)
                *(report.was_called ? &totals->n_refused : &totals->n_both) += 1;
        else if (!report.was_called)
                totals->n_lenient++;
        else if (!same_name(report.name, &facts) || !same_protocols(report.alpn, facts.alpn)) {
                printf("%s: different: \"%s\"\n", origin, facts.name.text);
                totals->n_different++;
        } else
                totals->n_same++;

        SSL_free(ssl);
}

/* A generator of its own, so that a seed gives the same hellos with every C library. */
static uint32_t next_random(uint64_t *state) {
        *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
        return (uint32_t) (*state >> 33);
}

static void compare_mutants(SSL_CTX *context, const char *origin, const Bytes *hello, Totals *totals) {
        static Bytes mutant;
        uint64_t random = hello->n;

        if (hello->n == 0 || hello->n > 4096)
                return;

        for (unsigned i = 0; i < MUTANTS_PER_HELLO; i++) {
                mutant = *hello;

                for (unsigned k = 0; k <= i % 3; k++)
                        mutant.p[next_random(&random) % mutant.n] ^= (uint8_t) (1U << next_random(&random) % 8);

                compare(context, origin, mutant.p, mutant.n, totals);
        }
}

static void print_totals(const char *what, const Totals *t) {
        printf("%s: %u the same, %u refused by the probe alone, %u by both, %u by OpenSSL alone, %u different\n",
               what, t->n_same, t->n_refused, t->n_both, t->n_lenient, t->n_different);
}

static void read_file(int dir_fd, const char *name, Bytes *ret) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                err(EXIT_FAILURE, "%s", name);

        n = read(fd, ret->p, sizeof(ret->p));
        if (n < 0)
                err(EXIT_FAILURE, "%s", name);

        ret->n = (size_t) n;
}

int main(int argc, char *argv[]) {
        Totals files = {}, made = {}, mutants = {};
        static Bytes hello;
        struct dirent *entry;
        SSL_CTX *context;
        HelloSpec spec;
        DIR *dir;

        if (argc != 2)
                errx(EXIT_FAILURE, "Usage: %s DIRECTORY", argv[0]);

        context = SSL_CTX_new(TLS_server_method());
        if (!context)
                errx(EXIT_FAILURE, "OpenSSL has no memory.");

        dir = opendir(argv[1]);
        if (!dir)
                err(EXIT_FAILURE, "%s", argv[1]);

        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;

                read_file(dirfd(dir), entry->d_name, &hello);
                compare(context, entry->d_name, hello.p, hello.n, &files);
                compare_mutants(context, entry->d_name, &hello, &mutants);
        }
        closedir(dir);

        for (unsigned i = 0; made_hello(i, &spec); i++) {
                char origin[32];

                (void) snprintf(origin, sizeof(origin), "made %u", i);
                make_hello(&spec, &hello);
                compare(context, origin, hello.p, hello.n, &made);
                compare_mutants(context, origin, &hello, &mutants);
        }

        SSL_CTX_free(context);

        printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
        print_totals("files", &files);
        print_totals("made", &made);
        print_totals("mutants", &mutants);

        if (files.n_different + made.n_different + mutants.n_different > 0 || files.n_same == 0)
                return EXIT_FAILURE;

        return EXIT_SUCCESS;
}
