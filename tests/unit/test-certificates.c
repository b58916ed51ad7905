/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reports of TLS stages, as fdpassctl reads them: their lines, their files, and what is shown of them. */

#include "test.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fdpassctl/certificates.h"
#include "fdpassctl/openmetrics-certificates.h"

static int parse(Certificates *c, const char *unit, const char *text) {
        char *copy = strdup(text);
        int r;

        assert_non_null(copy);
        r = certificates_parse(c, unit, copy);
        free(copy);
        return r;
}

static void test_lines(void **state) {
        Certificates c = {};

        assert_int_equal(parse(&c, "fdpass-tls.service",
                               "certificate a expires 2027-01-31T12:00:00Z names a.test *.a.test\n"
                               "certificate b\\x20 expires never default names\n"
                               "problem c.crt: there is no file c.key with its private key. The certificate is left out.\n"), 0);
        assert_int_equal(c.n_items, 2);
        assert_string_equal(c.items[0].unit, "fdpass-tls.service");
        assert_string_equal(c.items[0].name, "a");
        assert_int_equal(c.items[0].ends, 1801396800 * USEC_PER_SEC);
        assert_false(c.items[0].is_default);
        assert_int_equal(c.items[0].hosts.n_items, 2);
        assert_string_equal(c.items[1].name, "b\\x20");
        assert_true(c.items[1].is_default);
        assert_true(c.items[1].ends == USEC_INFINITY);
        assert_int_equal(c.items[1].hosts.n_items, 0);
        assert_int_equal(c.n_problems, 1);
        assert_string_equal(c.problems[0].text, "c.crt: there is no file c.key with its private key. The certificate is left out.");

        assert_true(certificate_has_host(&c.items[0], "a.test"));
        assert_true(certificate_has_host(&c.items[0], "x.a.test"));
        assert_true(certificate_has_host(&c.items[0], "*.a.test"));
        assert_false(certificate_has_host(&c.items[0], "y.x.a.test"));
        assert_false(certificate_has_host(&c.items[0], "*.test"));
        assert_false(certificate_has_host(&c.items[0], "test"));
        certificates_done(&c);
}

static void test_other_lines(void **state) {
        static const char *const texts[] = {
                "", "\n\n", "certificate", "certificate ", "certificate a", "certificate a expires", "certificate a expires never",
                "certificate a expires tomorrow names", "certificate a expires 2027-01-31T12:00:00Zx names",
                "certificate a ends never names a", "certificate \033a expires never names", "problem x\377: y", "certificate a expires never preset names a", "something else",
        };
        Certificates c = {};

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                assert_int_equal(parse(&c, "x", texts[i]), 0);
        assert_int_equal(c.n_items + c.n_problems, 0);
        certificates_done(&c);
}

static int write_report(const char *directory, const char *name, const char *text) {
        char path[128];
        int fd;

        (void) snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        return fd;
}

/* Only files count that a process has locked; no link, no FIFO and no hidden file is opened or waited for. */
static void test_directory(void **state) {
        static const char text[] = "certificate a expires never names a.test\n";
        char directory[] = "/tmp/fdpass-unit-XXXXXX", path[128], command[128];
        int live, hidden, stale;
        Certificates c = {};

        assert_int_equal(certificates_read(&c, "/nonexistent"), 0);
        assert_non_null(mkdtemp(directory));
        live = write_report(directory, "b.service", text);
        hidden = write_report(directory, ".c.service.new", text);
        stale = write_report(directory, "a.service", text);
        assert_int_equal(flock(live, LOCK_EX), 0);
        assert_int_equal(flock(hidden, LOCK_EX), 0);
        (void) snprintf(path, sizeof(path), "%s/d.service", directory);
        assert_int_equal(symlink("b.service", path), 0);
        (void) snprintf(path, sizeof(path), "%s/e.service", directory);
        assert_int_equal(mkfifo(path, 0666), 0);

        assert_int_equal(certificates_read(&c, directory), 0);
        assert_int_equal(c.n_items, 1);
        assert_string_equal(c.items[0].unit, "b.service");

        certificates_done(&c);
        close(live);
        close(hidden);
        close(stale);
        (void) snprintf(command, sizeof(command), "rm -r %s", directory);
        assert_int_equal(system(command), 0);
}

static void print_report(Certificates *c, time_t ends) {
        char text[128];
        struct tm tm;

        assert_non_null(gmtime_r(&ends, &tm));
        assert_true(strftime(text, sizeof(text), "certificate a expires %Y-%m-%dT%H:%M:%SZ names", &tm) > 0);
        assert_int_equal(parse(c, "x", text), 0);
}

static void test_ends(void **state) {
        static const time_t ends[] = { -3600, 3600, 8 * 24 * 3600 };
        static const char *const texts[] = { "x: the certificate a expired 1h ago. Clients refuse it.\n",
                                             "x: the certificate a expires in 59min 59s.\n", "" };

        for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
                Certificates c = {};
                char *text = NULL;
                size_t n;
                FILE *f = open_memstream(&text, &n);

                print_report(&c, time(NULL) + ends[i]);
                certificates_print_problems(f, &c);
                assert_int_equal(fclose(f), 0);
                if (i != 1)
                        assert_int_equal(strncmp(text, texts[i], strlen("x: the certificate a expired 1h")), 0);
                else
                        assert_int_equal(strncmp(text, texts[i], strlen("x: the certificate a expires in 59min")), 0);
                free(text);
                certificates_done(&c);
        }
}

static void test_metrics(void **state) {
        Certificates c = {};
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        assert_int_equal(parse(&c, "s.service", "certificate a\"b expires 2027-01-31T12:00:00Z names\n"
                                                "certificate n expires never names\nproblem x: y\nproblem z: y"), 0);
        openmetrics_write_certificates(&(OpenMetrics){ f, METRICS_OPENMETRICS }, &c);
        assert_int_equal(fclose(f), 0);
        assert_non_null(strstr(text, "# UNIT fdpass_certificate_expiry_timestamp_seconds seconds\n"
                                     "fdpass_certificate_expiry_timestamp_seconds{unit=\"s.service\",certificate=\"a\\\"b\"} 1801396800\n"
                                     "# HELP fdpass_certificate_problems "));
        assert_non_null(strstr(text, "\nfdpass_certificate_problems{unit=\"s.service\"} 2\n"));
        free(text);
        certificates_done(&c);
}

TEST_MAIN(cmocka_unit_test(test_lines),
          cmocka_unit_test(test_other_lines),
          cmocka_unit_test(test_directory),
          cmocka_unit_test(test_ends),
          cmocka_unit_test(test_metrics))
