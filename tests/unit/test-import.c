/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include "fdpassctl/add-units.h"
#include "fdpassctl/import-sink.h"
#include "fdpassctl/libconfig.h"

/* Everything that came of a file, as one text. */
typedef struct Result {
        char *text;
        size_t n;
        FILE *f;
        unsigned n_files;
} Result;

static void say(void *userdata, _unused_ const char *file, unsigned line, const char *message) {
        Result *r = userdata;

        fprintf(r->f, "%u: %s\n", line, message);
}

static int take(void *userdata, AddFiles *files) {
        Result *r = userdata;

        for (size_t i = 0; i < files->n_items; i++)
                fprintf(r->f, "<%s>\n%s", files->items[i].path, files->items[i].text);
        r->n_files += (unsigned) files->n_items;
        add_files_done(files);
        return 0;
}

/* Converts @text. Checks the number of files, and that each of the strings is in the result, NULL at the end. */
static void check(int (*convert)(const ImportSink *, char *), const char *text, unsigned n_files, const char *const *expected) {
        Result r = {};
        const ImportSink sink = { .file = "/etc/x.service", .say = say, .take = take, .userdata = &r };
        char *copy = strdup(text);

        r.f = open_memstream(&r.text, &r.n);
        assert_non_null(copy);
        assert_non_null(r.f);
        assert_int_equal(convert(&sink, copy), 0);
        assert_int_equal(fclose(r.f), 0);
        for (size_t i = 0; expected[i]; i++)
                if (!strstr(r.text, expected[i]))
                        fail_msg("no \"%s\" in:\n%s", expected[i], r.text);
        assert_int_equal(r.n_files, n_files);
        free(r.text);
        free(copy);
}

#define CHECK(convert, text, n_files, ...) check(convert, text, n_files, (const char *const[]){ __VA_ARGS__, NULL })

static void test_inetd(_unused_ void **state) {
        CHECK(import_inetd, "# comment\n\n7000 stream tcp nowait daemon /bin/cat cat -n\n", 2, "<inetd-7000.socket>",
              "\nListener=7000\n", "fdpass-exec --exit-idle-time=5min /bin/cat -n\n", "\nUser=daemon\n", "3: The port has to be open");
        CHECK(import_inetd, "7000 stream tcp nowait.50 a.b /bin/cat\n", 2, "1: The group", "1: The limit of starts",
              "\nUser=a\n", " /bin/cat\n");
        CHECK(import_inetd, "7000 stream tcp nowait root /usr/sbin/tcpd in.x -l", 2, "1: tcpd is left out", "as root",
              " /usr/sbin/in.x -l\n", "\nDynamicUser=yes\n");
        CHECK(import_inetd, "7000 stream tcp nowait root /usr/sbin/tcpd", 0, "1: tcpd has no program");
        CHECK(import_inetd, "7000 stream tcp nowait x /bin/a b $c %d\n", 2, "own name instead of b", " /bin/a \"$$c\" \"%%d\"\n");
        CHECK(import_inetd, "7000 dgram udp wait x /bin/a", 0, "1: Only stream");
        CHECK(import_inetd, "7000 stream udp nowait x /bin/a", 0, "1: Only TCP");
        CHECK(import_inetd, "7000 stream tcp wait x /bin/a", 0, "1: With \"wait\"");
        CHECK(import_inetd, "7000 stream tcp nowaiting x /bin/a", 0, "1: The fourth word");
        CHECK(import_inetd, "7000 stream tcp nowait root internal", 0, "1: inetd serves this itself");
        CHECK(import_inetd, "7000 stream tcp nowait x bin/a", 0, "1: The program is not an absolute path");
        CHECK(import_inetd, "0 stream tcp nowait x /a", 0, "1: The port is not");
        CHECK(import_inetd, "65536 stream tcp nowait x /a", 0, "1: The port is not");
        CHECK(import_inetd, "none-such stream tcp nowait x /a", 0, "1: The service is not in /etc/services");
        CHECK(import_inetd, "127.0.0.1:7 stream tcp nowait x /a", 0, "1: The line is for one address");
        CHECK(import_inetd, "rpc.x/1 stream rpc/tcp nowait x /a", 0, "1: RPC");
        CHECK(import_inetd, "7 stream tcp nowait x", 0, "1: A line has at least six words");
        CHECK(import_inetd, "7 stream tcp nowait x /a\n  b\n", 2, "2: A line that begins with white space");
        CHECK(import_inetd, "7 stream tcp nowait $x /a\n", 2, "1: The user is not a plain name", "\nDynamicUser=yes\n");
}

static void test_sslh(_unused_ void **state) {
#define LISTEN "listen: ({host: \"0.0.0.0\"; port: \"443\"});"
        CHECK(import_sslh, LISTEN "protocols: ({name: \"ssh\"; host: \"localhost\"; port: \"22\";},\n"
              "{name: \"tls\", host: \"::1\", port: 993, sni_hostnames: [\"a.example\", \"*.b.example\"], proxyprotocol: 1});\n"
              "on_timeout: \"ssh\"; timeout: 2;", 4, "<sslh-ssh.socket>", "\nListener=443\nProtocol=ssh silent\n", " localhost:22\n",
              "\nListener=443\nProtocol=tls\nHost=a.example\nHost=*.b.example\n", " --proxy-protocol=v1 [::1]:993\n");
        /* The first protocol takes silent clients if no other one is named. The same name gets a number. */
        CHECK(import_sslh, LISTEN "protocols = ({name = \"http\" host = \"a\" port = 80}, {name=\"tls\";host=\"b\";port=1},"
              "{name=\"tls\";host=\"c\";port=2;}, {name:\"anyprot\" host:\"/run/x\" is_unix: true})", 8,
              "\nProtocol=http silent\n", "<sslh-tls.socket>", "<sslh-tls-2.socket>", "\nListener=443\n# The proxy answers", " /run/x\n");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"openvpn\"; host: \"a\"; port: 1});", 0, "1: The protocol openvpn has no unit");
        CHECK(import_sslh, LISTEN "protocols: (\n{name: \"tls\"; host: \"a\"; port: 1; sni_hostnames: \"x\"});", 0,
              "2: sni_hostnames is not a list");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"tls\"; host: \"a\"; port: 1; sni_hostnames: [\"x\\nWorker=/y\"]});", 0,
              "1: sni_hostnames is not a list");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"tls\"; host: \"a\"; port: 1; sni_hostnames: [\"a*b\"]});", 0, "0: No unit");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"ssh\"; host: \"a b\"; port: 1});", 0, "1: fdpass-proxy(8) has no address");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"ssh\"; host: \"a\"; port: 0});", 0, "1: The server has no host or no port");
        CHECK(import_sslh, LISTEN "protocols: ({name: \"ssh\"; host: \"a\"; port: 1; odd: 1}); other: 1;", 2,
              "1: The setting odd is left out", "1: The setting other is left out");
        CHECK(import_sslh, "listen: ({host: \"a\"; port: 1; is_udp: true}); protocols: ();", 0, "1: This address of listen", "No port");
        CHECK(import_sslh, "a: 1;", 0, "0: There is no list");
        CHECK(import_sslh, "\nlisten", 0, "2: There is no : or =");
}

static void check_libconfig(const char *text, unsigned line) {
        LibconfigValue v;
        LibconfigError error = {};

        assert_int_equal(libconfig_parse(text, &v, &error), line > 0 ? LIBCONFIG_BAD : 0);
        assert_int_equal(error.line, line);
        libconfig_done(&v);
}

static void test_libconfig(_unused_ void **state) {
        LibconfigValue v;
        LibconfigError error;

        assert_int_equal(libconfig_parse("a = 0x1FL; # c\nb-c : \"x\" \"\\x41\\n\"; // d\nd /* e\n */ = (1, {e: TRUE},);", &v, &error), 0);
        assert_int_equal(v.n_items, 3);
        assert_int_equal(libconfig_get(&v, "a")->number, 31);
        assert_string_equal(libconfig_get(&v, "b-c")->text, "xA\n");
        assert_int_equal(libconfig_get(&v, "d")->items[1].line, 4);
        assert_int_equal(libconfig_get(&libconfig_get(&v, "d")->items[1], "e")->number, 1);
        assert_null(libconfig_get(&v, "e"));
        libconfig_done(&v);

        check_libconfig("", 0);
        check_libconfig("a: 1 b: 2, c: -3;", 0);
        check_libconfig("a: ();", 0);
        check_libconfig("\na", 2);
        check_libconfig("a:", 1);
        check_libconfig("a: \"x", 1);
        check_libconfig("a: \"x\n\"", 1);
        check_libconfig("a: \"\\q\"", 1);
        check_libconfig("a: \"\\x00\"", 1);
        check_libconfig("a: {\n", 2);
        check_libconfig("a: (1 2)", 1);
        check_libconfig("a: (1", 1);
        check_libconfig("a: x", 1);
        check_libconfig("a: 1.5", 1);
        check_libconfig("a: 99999999999999999999", 1);
        check_libconfig("1: 1", 1);
        check_libconfig("}", 1);
        check_libconfig("@include \"x\"", 1);
        check_libconfig("a:((((((((((((((((((1", 1);
}

static void test_socket_proxyd(_unused_ void **state) {
#define PROXYD "/lib/systemd/systemd-socket-proxyd"
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " -c 5 --exit-idle-time=1min 127.0.0.1:80\n", 1,
              "<x.service.d/50-fdpass-proxy.conf>", "\nExecStart=\nExecStart=", " --connections-max=5 --exit-idle-time=1min 127.0.0.1:80\n");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=/bin/x\nExecStart=\nExecStart=" PROXYD " /run/%i.sock\n", 1, " /run/%i.sock\n");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " host\n", 1, " host:80\n");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " [::1]\n", 1, " [::1]:80\n");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=/bin/cat\n", 0, "2: ExecStart= does not start");
        CHECK(import_socket_proxyd, "[Service]\n", 0, "0: There is no ExecStart=");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=/a\nExecStart=/b\n", 0, "3: There are several");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD "\n", 0, "2: There is no address");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " -x y\n", 0, "2: -x is not known");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " a b\n", 0, "2: b is not known");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " -c x a\n", 0, "2: --connections-max=x");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " --exit-idle-time=x a\n", 0, "2: --exit-idle-time=x");
        CHECK(import_socket_proxyd, "[Service]\nExecStart=" PROXYD " \"a\"\n", 0, "2: ExecStart= has quotes");
        CHECK(import_socket_proxyd, "nonsense\n", 0, "1: ");
}

TEST_MAIN(TEST(test_inetd),
          TEST(test_sslh),
          TEST(test_libconfig),
          TEST(test_socket_proxyd))
