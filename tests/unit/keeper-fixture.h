/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* preload-keeper, a server of HTTP/1.1 that knows nothing of fdpass, run under fdpass-preload.so. */

#include "preload-fixture.h"

#define OWN "GET /own/%i HTTP/1.1\r\nHost: a.example\r\n\r\n"
#define FOREIGN "GET /other HTTP/1.1\r\nHost: a.example\r\n\r\n"

typedef struct Keeper {
        Server s;
        char return_path[64];
        int return_fd; /* the broker's return socket */
        int back_fd;   /* the connection on which it hands back */
        bool is_unseen; /* the broker says that it has not looked at the next client (NEXT) */
        char told[FDPASS_NEXT_MAX]; /* head of the next request, as the server has told it */
        size_t n_told;
        bool is_secure; /* the next client comes from a TLS stage (SSL) */
        bool is_drained; /* the scopes of the next clients say that the host is drained */
        bool refuses;  /* the broker keeps no connection: the server connects to the return socket */
} Keeper;

/* Opens the broker's return socket. */
void keeper_listen(Keeper *k, int backlog);

/* Starts a server whose clients come with messages. @wait and @letters are its arguments (preload-keeper.c). */
void keeper_start(Keeper *k, const char *wait, const char *letters);

/* The same with a socket of @type, and with the libraries of LD_PRELOAD=. */
void keeper_start_with(Keeper *k, int type, const char *preload, const char *wait, const char *letters);

/* Ends the server, which must be there up to now. */
void keeper_stop(Keeper *k);

/* A scope that has OWN, and has not FOREIGN. */
extern const char *const own[];

/* Makes a client that does not wait for acknowledgements (Nagle), because it sends parts of requests. */
void quick_pair(int ret[static 2]);

/* Hands @fd over with these items of a scope: pairs of a kind and a text. NULL: without a scope. */
void keeper_give_fd(Keeper *k, int fd, const char *const *items);

/* Hands a new client over, which sends @first. Returns its own end. */
int keeper_give(Keeper *k, const char *const *items, const char *first);

/* Sends a text, with one segment. */
void say(int fd, const char *bytes);

/* True if something is to be read within WAIT_SEC: bytes, or the end. */
bool has_bytes(int fd);

/* Reads until the answers end with @end. */
void read_until(int fd, const char *end, char *ret, size_t size);

/* Checks that the server answers with this line. */
void expect(int fd, const char *line);

/* The connection was closed, and nothing came before. */
void expect_end(int fd);

/* The same at once. */
bool has_message(int fd);

/* Waits for the condition, which is asked again and again. */
#define WAIT_UNTIL(condition)                                                              \
        for (usec_t deadline = usec_now() + WAIT_SEC * USEC_PER_SEC; !(condition);)        \
                assert_true(usec_now() < deadline)

/* Receives the client that the server hands back. */
int receive_back(Keeper *k);

/* The next bytes of the client that is handed back are @bytes, and nothing else. */
int expect_back(Keeper *k, const char *bytes);
