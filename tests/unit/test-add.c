/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "basic/fd.h"
#include "config/config.h"
#include "fdpassctl/add-command.h"
#include "fdpassctl/add-examples.h"
#include "fdpassctl/add-marker.h"
#include "fdpassctl/add-name.h"
#include "fdpassctl/add-options.h"
#include "fdpassctl/add-proxy.h"
#include "fdpassctl/add-recipes.h"
#include "fdpassctl/add-units.h"
#include "fdpassctl/add-write.h"

static void check_command(char *const *words, const char *expected) {
        _cleanup_free_ char *line = add_command_make(words);

        assert_non_null(line);
        assert_string_equal(line, expected);
}

static void test_command(_unused_ void **state) {
        check_command((char *[]){ (char[]){ "/bin/cat" }, (char[]){ "-n" }, NULL }, "/bin/cat -n");
        check_command((char *[]){ (char[]){ "/bin/a b" }, (char[]){ "" }, (char[]){ "c d" }, NULL }, "\"/bin/a b\" \"\" \"c d\"");
        check_command((char *[]){ (char[]){ "/x" }, (char[]){ "50%" }, (char[]){ "$HOME" }, (char[]){ ";" }, NULL },
                      "/x \"50%%\" \"$$HOME\" \";\"");
        check_command((char *[]){ (char[]){ "/x" }, (char[]){ "\"\\'" }, (char[]){ "a\nb\t" }, NULL },
                      "/x \"\\\"\\\\'\" \"a\\x0ab\\x09\"");
        check_command((char *[]){ (char[]){ "/ä" }, (char[]){ "{}" }, NULL }, "\"/ä\" \"{}\"");
}

static void test_name(_unused_ void **state) {
        static const char *const good[] = { "a", "chat", "a-b_c.d", "0", "_x", "fdpassx", "return", "service" };
        static const char *const bad[] = {
                "", "-a", ".a", "a.", "a-", "a..b", "a b", "a/b", "..", "a@b", "a@", "@", "ä", "a\n", "a:b", "a\\b", "a%",
                "fdpass", "fdpass-x", "a.service", "a.socket", "a.target",
        };
        char name[ADD_NAME_MAX + 2] = "";

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(add_name_check(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(add_name_check(bad[i]));

        memset(name, 'x', ADD_NAME_MAX);
        assert_true(add_name_check(name));
        name[ADD_NAME_MAX] = 'x';
        assert_false(add_name_check(name));
}

static void test_proxy(_unused_ void **state) {
        static const char *const good[] = {
                "127.0.0.1:80", "localhost", "a.example:1", "[::1]:65535", "[2001:db8::1]", "/run/x", "@x", "vsock:3:80",
        };
        static const char *const bad[] = {
                "", "/", "@", ":80", "a:", "a:0", "a:65536", "a:x", "::1", "::1:80", "[::1", "[::1]80", "[a]:1", "[]:1",
                "vsock:", "vsock:3", "vsock:a:1", "a b:1", "a/b:1", "-a:1", "a:1:2", "a%:1",
        };
        char path[120] = "/";

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_int_equal(add_proxy_check(good[i]), 1);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(add_proxy_check(bad[i]), -EINVAL);

        memset(path + 1, 'x', 106);
        assert_int_equal(add_proxy_check(path), 1);
        path[107] = 'x';
        assert_int_equal(add_proxy_check(path), -EINVAL); /* 108 bytes and no NUL */
}

static void test_marker(_unused_ void **state) {
        _cleanup_free_ char *text = add_marker_prepend("chat", "nginx.service", "[Unit]\nDescription=x\n");
        _cleanup_free_ char *plain = add_marker_prepend("chat", NULL, "[Unit]\n");

        assert_int_equal(add_marker_check("chat", text), ADD_MARKER_WHOLE);
        assert_int_equal(add_marker_check("chat", plain), ADD_MARKER_WHOLE);
        assert_true(add_marker_was_enabled(text, "nginx.service"));
        assert_false(add_marker_was_enabled(text, "nginx"));
        assert_false(add_marker_was_enabled(plain, "nginx.service"));
        assert_int_equal(add_marker_check("cha", text), ADD_MARKER_NONE);
        assert_int_equal(add_marker_check("chatter", text), ADD_MARKER_NONE);
        assert_int_equal(add_marker_check("chat", "[Unit]\n"), ADD_MARKER_NONE);
        assert_int_equal(add_marker_check("chat", ""), ADD_MARKER_NONE);

        /* Any changed byte is found, and none of them makes a file of another name. */
        for (size_t i = strlen("# Written by fdpassctl add chat, checksum "); text[i]; i++) {
                char before = text[i];

                text[i] = (char) (before ^ 1);
                assert_int_equal(add_marker_check("chat", text), ADD_MARKER_CHANGED);
                text[i] = before;
        }

        /* The first line alone is no whole file. */
        text[strcspn(text, "\n")] = '\0';
        assert_int_equal(add_marker_check("chat", text), ADD_MARKER_CHANGED);
}

/* The finding's text is not of interest here. */
static void note_finding(void *userdata, ConfigSeverity severity, _unused_ const char *unit, _unused_ const char *path,
                         _unused_ unsigned line, const char *message) {
        if (severity == CONFIG_ERROR)
                print_error("%s\n", message);
        *(unsigned *) userdata += severity == CONFIG_ERROR;
}

/* Makes the files of a command line, which begins with NAME. */
static void make_files(AddPlan *plan, AddFiles *files, char *argv[]) {
        int argc = 0;

        while (argv[argc])
                argc++;
        assert_int_equal(add_parse_options(argc, argv, plan), 1);
        plan->recipe = add_recipe_find(plan);
        assert_non_null(plan->recipe);
        if (plan->program) {
                plan->program_path = strdup("/usr/bin/program");
                assert_non_null(plan->program_path);
        }
        assert_int_equal(add_units_make(plan, files), 0);
}

static char *argument(const char *s) {
        union {
                const char *from;
                char *to;
        } u = { .from = s };

        return u.to;
}

#define ARGUMENTS_MAX 12

/* Checks that the unit with the route is valid, and that the files have these texts, NULL at the end. */
static void check_units(const char *const *arguments, const char *const *texts) {
        char *argv[ARGUMENTS_MAX + 2] = { argument("add") };
        _cleanup_(add_plan_done) AddPlan plan = {};
        _cleanup_(add_files_done) AddFiles files = {};
        unsigned n_errors = 0;
        char unit[256];

        for (size_t i = 0; arguments[i]; i++)
                argv[i + 1] = argument(arguments[i]);
        make_files(&plan, &files, argv);
        assert_int_equal(config_check_text(add_unit_name(&plan, unit), "x", files.items[0].text, note_finding, &n_errors), 0);
        assert_int_equal(n_errors, 0);

        for (size_t i = 0; texts[i]; i++) {
                bool found = false;

                for (size_t k = 0; k < files.n_items; k++)
                        found = found || strstr(files.items[k].text, texts[i]);
                if (!found)
                        fail_msg("%s: no file has %s", arguments[0], texts[i]);
        }

        for (size_t k = 0; k < files.n_items; k++) {
                assert_int_equal(add_marker_check(plan.name, files.items[k].text), ADD_MARKER_WHOLE);
                assert_null(strstr(files.items[k].text, "dir@")); /* no value of the build is left out */
                assert_null(strstr(files.items[k].text, "receiver"));
                assert_null(strstr(files.items[k].text, "example.org"));
        }
}

#define CHECK_UNITS(arguments, ...) check_units((const char *const[]) arguments, (const char *const[]){ __VA_ARGS__, NULL })
#define ARGS(...) { __VA_ARGS__, NULL }

static void test_units(_unused_ void **state) {
        CHECK_UNITS(ARGS("chat", "--host=a.example", "--host=b.example", "--header=X: 50%", "--", "p", "x y"),
                    "\n[X-FDPass]\nHost=a.example\nHost=b.example\nHeader=X: 50%%\n", "\nProtocol=http\n",
                    "\nListenSequentialPacket=/run/fdpass/chat.sock\n", "\nRequires=chat.socket\n",
                    "\nExecStart=/usr/bin/program \"x y\"\n", "\nStartLimitIntervalSec=0\n", "\nTriggerLimitIntervalSec=0\n",
                    "\nSystemCallFilter=~connect bind listen ", "\nMemoryDenyWriteExecute=yes\n");
        CHECK_UNITS(ARGS("x", "--stream", "--listener=7", "--", "p"), "\n[X-FDPass]\nListener=7\n\n[Install]",
                    "\nListenStream=/run/fdpass/x.sock\n");
        CHECK_UNITS(ARGS("x", "--hand-back", "--", "p"), "\nSupplementaryGroups=fdpass\n", "\nSystemCallFilter=~bind listen ");
        CHECK_UNITS(ARGS("x", "--inetd", "--protocol=ssh", "--receipt=kernel", "--", "p"), "\nProtocol=ssh\n",
                    "/fdpass-exec --exit-idle-time=5min /usr/bin/program\n");
        CHECK_UNITS(ARGS("x", "--proxy=/run/y", "--http"), "\nPrivateNetwork=yes\n", " --http /run/y\n",
                    "\nSupplementaryGroups=fdpass\n", "\nRestrictAddressFamilies=AF_UNIX\n");
        CHECK_UNITS(ARGS("x", "--proxy=192.0.2.1:8", "--proxy-protocol=v2"), "\nIPAddressDeny=any\n",
                    "\nIPAddressAllow=192.0.2.1\n", "--proxy-protocol=v2 192.0.2.1:8\n");
        CHECK_UNITS(ARGS("x", "--server=nginx", "--host=a"), "\nService=nginx.service\n", "\nRequires=x.socket\n", "\nHost=a\n");
        CHECK_UNITS(ARGS("nginx", "--server=nginx", "--tls=yes"), "\nTLS=yes\n", "\nRequires=nginx.socket\n");
        CHECK_UNITS(ARGS("x", "--server=node", "--port=3000", "--", "p"), "\nEnvironment=FDPASS_LISTEN=3000\n",
                    "\nExecStart=/usr/bin/program\n", "LD_PRELOAD=/");
        CHECK_UNITS(ARGS("x", "--server=git-daemon"), "\nPrefix=00\n");
        CHECK_UNITS(ARGS("x", "--server=git-daemon", "--listener=9418"), "\n[X-FDPass]\nListener=9418\n\n[Install]");
        CHECK_UNITS(ARGS("x", "--server=sshd"), "\nProtocol=ssh\n", "\nRequires=x.socket\n");
        CHECK_UNITS(ARGS("x", "--flusher=redirect", "--redirect-to=https://%h%u"), "\nFlusher=redirect\nRedirectTo=https://%%h%%u\n");
        CHECK_UNITS(ARGS("x", "--worker=/run/x/y.sock", "--queue-timeout-sec=3s"), "\nWorker=/run/x/y.sock\n",
                    "\nQueueTimeoutSec=3s\n");
}

/* Each key of the table is an option, and its line is in the unit. */
static int check_key(void *userdata, const char *key) {
        _cleanup_free_ char *line = NULL, *option = NULL;
        _cleanup_(add_plan_done) AddPlan plan = {};
        char *argv[] = { argument("add"), argument("x"), NULL, argument("--proxy=/x"), NULL };
        char name[64] = "";
        size_t n = 0;

        for (size_t i = 0; key[i]; i++) {
                if (i > 0 && key[i] >= 'A' && key[i] <= 'Z' && key[i - 1] >= 'a')
                        name[n++] = '-';
                name[n++] = (char) (key[i] | 0x20);
        }
        assert_true(asprintf(&option, "--%s=/v", name) > 0);
        assert_true(asprintf(&line, "%s=/v", key) > 0);
        argv[2] = option;
        assert_int_equal(add_parse_options(4, argv, &plan), 1);
        assert_true(strlist_has(&plan.keys, line));
        (*(unsigned *) userdata)++;
        return 0;
}

static void test_keys(_unused_ void **state) {
        unsigned n = 0;

        assert_int_equal(config_for_each_route_key(check_key, &n), 0);
        assert_true(n > 20);
}

/* Lists the files below a directory. */
static unsigned count_entries(int fd) {
        DIR *d = fdopendir(openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        struct dirent *entry;
        unsigned n = 0;

        assert_non_null(d);
        while ((entry = readdir(d)))
                n += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
        closedir(d);
        return n;
}

static AddFiles some_files(size_t size) {
        AddFiles files = { .n_items = 3 };
        static const char *const paths[] = { "a.socket", "n.service.d/50.conf", "a.service" };

        for (size_t i = 0; i < 3; i++) {
                files.items[i].path = strdup(paths[i]);
                files.items[i].text = calloc(1, size + 1);
                assert_non_null(files.items[i].path);
                assert_non_null(files.items[i].text);
        }
        memset(files.items[2].text, 'x', size); /* the other files are empty */
        return files;
}

static void test_write(_unused_ void **state) {
        char root[] = "/tmp/test-add-XXXXXX";
        _cleanup_(add_files_done) AddFiles files = some_files(100);
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        assert_non_null(mkdtemp(root));
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        {
                _cleanup_(add_writer_done) AddWriter w = ADD_WRITER_INIT(fd);

                assert_int_equal(add_writer_write(&w, &files), 0);
                assert_int_equal(fstatat(w.directory_fd, "n.service.d/50.conf", &st, 0), 0);
                assert_int_equal(st.st_mode & 07777, 0644);
                assert_int_equal(count_entries(w.directory_fd), 3);
                add_writer_undo(&w);
                assert_int_equal(count_entries(fd), 0);
        }
        {
                _cleanup_(add_writer_done) AddWriter w = ADD_WRITER_INIT(fd);
                struct rlimit before, small;

                /* The last file does not fit, as on a full disk. */
                assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
                small = (struct rlimit){ 50, before.rlim_max };
                signal(SIGXFSZ, SIG_IGN);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
                assert_int_equal(add_writer_write(&w, &files), -EFBIG);
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
                assert_int_equal(count_entries(fd), 0);
        }
        {
                _cleanup_(add_writer_done) AddWriter w = ADD_WRITER_INIT(fd), other = ADD_WRITER_INIT(fd);

                /* A file that exists stays, and so does the directory. */
                assert_int_equal(add_writer_write(&w, &files), 0);
                assert_int_equal(add_writer_write(&other, &files), -EEXIST);
                assert_int_equal(count_entries(w.directory_fd), 3);
                add_writer_undo(&w);
        }
        assert_int_equal(rmdir(root), 0);
}

/* While a name is locked, another add and remove of it fail. A file that a killed one left is no lock. */
static void test_lock(_unused_ void **state) {
        char root[] = "/tmp/test-add-XXXXXX", target[64];
        _cleanup_(add_files_done) AddFiles files = some_files(100);
        AddLock lock = ADD_LOCK_NULL, other = ADD_LOCK_NULL;
        _cleanup_close_ int fd = -EBADF;

        assert_non_null(mkdtemp(root));
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(add_lock_take(&lock, fd, "a"), 0);
        assert_true(lock.fd >= 0);
        assert_int_equal(add_lock_take(&lock, fd, "a"), -EBUSY);
        assert_int_equal(add_lock_take(&other, fd, "b"), 0);
        assert_int_equal(count_entries(fd), 2);
        add_lock_release(&other);
        lock.fd = fd_close(lock.fd); /* as kill(1) */
        assert_int_equal(count_entries(fd), 1);
        assert_int_equal(add_lock_take(&lock, fd, "a"), 0);
        assert_true(lock.fd >= 0);
        add_lock_release(&lock);
        add_lock_release(&lock);
        assert_int_equal(count_entries(fd), 0);

        /* It is no way to another file. */
        (void) snprintf(target, sizeof(target), "%s/target", root);
        assert_int_equal(symlinkat(target, fd, ".#fdpassctl-a.lock"), 0);
        assert_int_equal(add_lock_take(&lock, fd, "a"), 0);
        assert_int_equal(lock.fd, -EBADF);
        assert_int_equal(unlinkat(fd, ".#fdpassctl-a.lock", 0), 0);
        {
                _cleanup_(add_writer_done) AddWriter w = ADD_WRITER_INIT(fd), second = ADD_WRITER_INIT(fd);

                assert_int_equal(add_writer_open(&w, "a"), 0);
                assert_int_equal(add_writer_open(&second, "a"), -EBUSY);
                assert_int_equal(add_writer_write(&w, &files), 0);
                assert_int_equal(count_entries(w.directory_fd), 4);
                add_lock_release(&w.lock);
                assert_int_equal(add_writer_open(&second, "a"), 0);
                assert_int_equal(add_writer_write(&second, &files), -EEXIST);
                assert_int_equal(count_entries(w.directory_fd), 3);
                add_writer_undo(&w);
                assert_int_equal(count_entries(fd), 0);
        }
        assert_int_equal(rmdir(root), 0);
}

/* Several processes write the same drop-in for different names. One has it, whole, and nothing else is left. */
static void test_write_at_once(_unused_ void **state) {
        char root[] = "/tmp/test-add-XXXXXX";
        _cleanup_close_ int fd = -EBADF;
        enum { N = 8 };
        int n_done = 0;
        pid_t pids[N];
        struct stat st;

        assert_non_null(mkdtemp(root));
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; i < N; i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0) {
                        AddWriter w = ADD_WRITER_INIT(fd);
                        AddFiles files = some_files(100000);
                        char name[] = { (char) ('a' + i % 4), '\0' };
                        int r = add_writer_open(&w, name);

                        if (r >= 0)
                                r = add_writer_write(&w, &files);
                        add_writer_done(&w);
                        _exit(r == 0 ? 0 : r == -EEXIST || r == -EBUSY ? 1 : 2);
                }
        }
        for (int i = 0; i < N; i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
                n_done += WEXITSTATUS(status) == 0;
        }
        assert_int_equal(n_done, 1);
        {
                _cleanup_(add_writer_done) AddWriter w = ADD_WRITER_INIT(fd);

                assert_int_equal(add_writer_open(&w, NULL), 0);
                assert_int_equal(count_entries(w.directory_fd), 3);
                assert_int_equal(fstatat(w.directory_fd, "a.service", &st, 0), 0);
                assert_int_equal(st.st_size, 100000);
                assert_int_equal(unlinkat(w.directory_fd, "a.service", 0), 0);
                assert_int_equal(unlinkat(w.directory_fd, "a.socket", 0), 0);
                assert_int_equal(unlinkat(w.directory_fd, "n.service.d/50.conf", 0), 0);
                assert_int_equal(unlinkat(w.directory_fd, "n.service.d", AT_REMOVEDIR), 0);
        }
        assert_int_equal(unlinkat(fd, "etc/systemd/system", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(fd, "etc/systemd", AT_REMOVEDIR), 0);
        assert_int_equal(unlinkat(fd, "etc", AT_REMOVEDIR), 0);
        assert_int_equal(rmdir(root), 0);
}

TEST_MAIN(TEST(test_command),
          TEST(test_name),
          TEST(test_proxy),
          TEST(test_marker),
          TEST(test_units),
          TEST(test_keys),
          TEST(test_write),
          TEST(test_lock),
          TEST(test_write_at_once))
