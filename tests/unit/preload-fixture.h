/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* preload-server, which knows nothing of fdpass, run under fdpass-preload.so with this program as its broker. */

#include "handoff-fixture.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>

#include "basic/time.h"

#define STRANGER 12345 /* a user that is neither root nor the server's */
#define WAIT_SEC 20    /* for anything that has to happen, on a loaded machine */

typedef struct Server {
        Fixture f;
        pid_t pid;
        int out, err;
        char seen[256];   /* what it said of its listener */
        bool has_nodelay; /* it has set TCP_NODELAY on that */
} Server;

/* How a server is started. */
typedef struct ServerStart {
        const char *listen, *wait, *letters; /* see preload-server.c */
        const char *env;                     /* FDPASS_LISTEN=; NULL: none */
        const char *names;                   /* LISTEN_FDNAMES=; NULL: none */
        const int *fds;                      /* passed as descriptors 3 and on */
        size_t n_fds;
} ServerStart;

/* Reads up to the end of a line or of the file; waits for WAIT_SEC at the longest. */
void read_line(int fd, char *ret, size_t size);

/* Starts a server. FDPASS_SOCKET= has the path of @s->f, and that path with "2" behind it. */
void server_spawn_with(Server *s, const ServerStart *start);

/* The same with one descriptor, or none if @passed_fd is negative. */
void server_spawn(Server *s, const char *listen, const char *wait, const char *letters, const char *env,
                  int passed_fd);

void server_start(Server *s, int type, const char *listen, const char *wait, const char *letters,
                  const char *env);

void server_stop(Server *s);

/* The last thing that a broker reads from @conn: 0 for the end of the file, an answer, or -ECONNRESET. */
int end_of(int conn);

/* All bytes from the server, up to its FIN. */
void read_answer(int fd, char *ret, size_t size);

/* Hands over one client, and tries again if the server has closed the connection meanwhile. Returns the connection. */
int hand_over(const Server *s, const Message *m, int client_fd);

/* Sends these bytes with @n_fds copies of @fd while the server is stopped. Returns the connection. */
int hand_over_raw(const Server *s, const void *bytes, size_t n, int fd, size_t n_fds);

/* Waits until the server ends by itself with status EX_CONFIG, after one line that has @word. Closes its ends. */
void assert_gives_up(Server *s, const char *word);

/* Hands over one client. The server tells it both addresses and its flags, which are compared. */
void assert_served(Server *s, const char *host, const char *local, int nonblock, int cloexec);

unsigned port_of(int fd);
size_t count_fds(pid_t pid);

void assert_fds(const Server *s, size_t expected);
