/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "preload-fixture.h"

void read_line(int fd, char *ret, size_t size) {
        size_t n = 0;

        while (n < size - 1) {
                struct pollfd p = { .fd = fd, .events = POLLIN };

                assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
                if (read(fd, ret + n, 1) != 1)
                        break;
                if (ret[n++] == '\n')
                        break;
        }
        ret[n] = '\0';
}

/* In the child: descriptors as systemd passes them, and no others. */
static void pass_fds(const ServerStart *start) {
        char number[16];

        for (size_t i = 0; i < start->n_fds; i++)
                (void) dup2(start->fds[i], 100 + (int) i);
        for (int fd = 3; fd < 100; fd++)
                (void) close(fd);
        for (size_t i = 0; i < start->n_fds; i++) {
                (void) dup2(100 + (int) i, 3 + (int) i);
                (void) close(100 + (int) i);
        }
        if (start->n_fds == 0)
                return;

        (void) snprintf(number, sizeof(number), "%i", (int) getpid());
        (void) setenv("LISTEN_PID", number, 1);
        (void) snprintf(number, sizeof(number), "%zu", start->n_fds);
        (void) setenv("LISTEN_FDS", number, 1);
        if (start->names)
                (void) setenv("LISTEN_FDNAMES", start->names, 1);
}

static void become_server(const Server *s, const ServerStart *start, int out, int err) {
        const char *preload = PRELOAD, *program = PRELOAD_SERVER;
        char all[256];

        (void) dup2(out, STDOUT_FILENO);
        (void) dup2(err, STDERR_FILENO);
        pass_fds(start);

        (void) snprintf(all, sizeof(all), "/nowhere:%s:%s2", s->f.path, s->f.path);
        (void) setenv("FDPASS_SOCKET", all, 1);
        (void) setenv("LD_PRELOAD", preload, 1);
        if (start->env)
                (void) setenv("FDPASS_LISTEN", start->env, 1);
        (void) execl(program, program, start->listen, start->wait, start->letters, (char *) NULL);
        _exit(127);
}

void server_spawn_with(Server *s, const ServerStart *start) {
        int out[2], err[2];

        s->has_nodelay = strlen(start->listen) == 1;
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        assert_int_equal(pipe2(err, O_CLOEXEC), 0);
        s->pid = fork();
        assert_true(s->pid >= 0);
        if (s->pid == 0)
                become_server(s, start, out[1], err[1]);

        fd_close(out[1]);
        fd_close(err[1]);
        s->out = out[0];
        s->err = err[0];
}

void server_spawn(Server *s, const char *listen, const char *wait, const char *letters, const char *env,
                  int passed_fd) {
        server_spawn_with(s, &(ServerStart){ .listen = listen, .wait = wait, .letters = letters, .env = env,
                                             .fds = &passed_fd, .n_fds = passed_fd >= 0 });
}

void server_start(Server *s, int type, const char *listen, const char *wait, const char *letters,
                  const char *env) {
        fixture_open(&s->f, type, 0, 64);
        server_spawn(s, listen, wait, letters, env, s->f.fd);
        read_line(s->out, s->seen, sizeof(s->seen));
        assert_true(strchr(s->seen, '\n') != NULL);
}

void server_stop(Server *s) {
        int status;

        assert_int_equal(kill(s->pid, SIGKILL), 0);
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        assert_true(WIFSIGNALED(status)); /* it was there up to now */
        fd_close(s->out);
        fd_close(s->err);
        fixture_close(&s->f);
}

void assert_gives_up(Server *s, const char *word) {
        char line[1024];
        int status;

        read_line(s->err, line, sizeof(line));
        assert_non_null(strstr(line, "fdpass-preload: "));
        if (!strstr(line, word))
                fail_msg("%s does not say %s", line, word);
        read_line(s->err, line, sizeof(line)); /* and nothing more */
        assert_string_equal(line, "");
        assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), EX_CONFIG);
        fd_close(s->out);
        fd_close(s->err);
}

int end_of(int conn) {
        struct pollfd p = { .fd = conn, .events = POLLIN };
        uint8_t answer;
        ssize_t n;

        assert_int_equal(poll(&p, 1, WAIT_SEC * 1000), 1);
        n = recv(conn, &answer, 1, MSG_DONTWAIT);
        return n < 0 ? -errno : n == 0 ? 0 : answer;
}

void read_answer(int fd, char *ret, size_t size) {
        read_line(fd, ret, size);
        assert_true(strchr(ret, '\n') != NULL);
        assert_int_equal(read(fd, ret + strlen(ret), 1), 0);
}

int hand_over(const Server *s, const Message *m, int client_fd) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        int conn, r;

        for (;;) {
                conn = fixture_connect(&s->f);
                r = m ? send_message(conn, m, client_fd) : send_in_form(&s->f, conn, client_fd);
                if (r == 0)
                        return conn;
                assert_int_equal(r, -EPIPE);
                assert_true(usec_now() < deadline);
                fd_close(conn);
        }
}

int hand_over_raw(const Server *s, const void *bytes, size_t n, int fd, size_t n_fds) {
        int conn;

        assert_int_equal(kill(s->pid, SIGSTOP), 0);
        conn = fixture_connect(&s->f);
        send_raw(conn, bytes, n, fd, n_fds);
        assert_int_equal(kill(s->pid, SIGCONT), 0);
        return conn;
}

unsigned port_of(int fd) {
        struct sockaddr_in in;
        socklen_t length = sizeof(in);

        assert_int_equal(getsockname(fd, (struct sockaddr *) &in, &length), 0);
        return ntohs(in.sin_port);
}

void assert_served(Server *s, const char *host, const char *local, int nonblock, int cloexec) {
        char line[256], expected[256];
        int client[2], conn;

        client_pair(client);
        conn = hand_over(s, NULL, client[1]);
        client[1] = fd_close(client[1]);
        assert_int_equal(end_of(conn), 0);
        read_answer(client[0], line, sizeof(line));

        (void) snprintf(expected, sizeof(expected), "%s:%u %s:%u %s nonblock=%i cloexec=%i nodelay=%i keepalive=1 fd=",
                        host, port_of(client[0]), host, port_of(client[0]), local, nonblock, cloexec, s->has_nodelay);
        if (!startswith(line, expected))
                fail_msg("%s, not %s", line, expected);
        fd_close(conn);
        fd_close(client[0]);
}

/* It sleeps: there is nothing left to do for it. */
static void wait_idle(pid_t pid) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;
        char path[64], state = '?';

        (void) snprintf(path, sizeof(path), "/proc/%i/stat", (int) pid);
        while (state != 'S') {
                _cleanup_fclose_ FILE *f = fopen(path, "re");

                assert_non_null(f);
                assert_int_equal(fscanf(f, "%*d %*s %c", &state), 1);
                assert_true(usec_now() < deadline);
        }
}

size_t count_fds(pid_t pid) {
        char path[64];
        size_t n = 0;
        DIR *d;

        wait_idle(pid);
        (void) snprintf(path, sizeof(path), "/proc/%i/fd", (int) pid);
        d = opendir(path);
        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

void assert_fds(const Server *s, size_t expected) {
        usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC;

        while (count_fds(s->pid) != expected)
                assert_true(usec_now() < deadline);
}
