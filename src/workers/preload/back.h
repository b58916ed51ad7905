/* SPDX-License-Identifier: MIT-0 */
#pragma once

/*
 * The way back to the broker, and the header that goes over it with a client. It is a connection on which a client came,
 * because most services may not connect(2). Without one the library tries to connect to the return socket.
 */

#include "probe/slice.h"

/* Bytes of a header: addresses of IPv6, and the TLVs of a connection with a full SSL TLV of a usual stage. */
#define BACK_HEADER_MAX 640

/*
 * Keeps @conn_fd, on which a client with a scope came, as the connection for handing back, unless there is one. The
 * broker is told by RETURN. @generation is that of the scope: with another one, the connection that there is may be of an
 * earlier process of the broker. Returns true if @conn_fd was consumed.
 */
bool back_keep(int conn_fd, uint32_t generation);

/* True if there is a connection for handing back clients whose scope has this generation. */
bool back_is_there(uint32_t generation);

/* True if the broker has told that the host or this worker is drained. Without a connection it is not. */
bool back_is_drained(void);

/* Reads what the broker has sent on the connection, and closes a connection that has ended. */
void back_look(void);

/* Returns the connection of this process, to wait for what the broker tells; -EBADF: there is none. */
int back_watched_fd(void);

/* To be called before the program closes the descriptors from @first to @last. */
void back_watch_close(unsigned first, unsigned last);

/* Reads the environment. */
void back_init(void);

/* False if FDPASS_RETURN=no. */
bool back_is_wanted(void);

/*
 * Makes the header that goes back with a client from the message that it came with. It has the facts of the connection.
 * @ret has room for BACK_HEADER_MAX bytes. Returns the length; 0: it does not fit. *@ret_scope points into @message;
 * n is 0: there is no scope.
 */
size_t back_make_header(const uint8_t *message, size_t n, uint8_t *ret, Slice *ret_scope);

/*
 * Sends a client to the broker. @next is the whole head of its next request; n is 0: it is not told. Waits at most 100 ms, for a broker that has just been told of the connection. Returns 0 or
 * a negative errno. The program's descriptor is left open.
 */
int back_send(int fd, const uint8_t *header, size_t n, Slice next);

/* After -EAGAIN of back_send(): waits at most 100 ms until the broker has read. Returns false if it does not. */
bool back_await_room(void);

/* The path of the return socket. */
const char *back_path(void);
