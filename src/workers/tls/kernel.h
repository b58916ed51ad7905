/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The kernel's TLS (kTLS, Documentation/networking/tls.rst in the kernel). A client's socket gets the keys of its
 * handshake. From then on the kernel reads and writes records, and a worker reads and writes data on the same socket.
 */

#include "workers/tls/keys.h"
#include "workers/tls/pair.h"

/* --ktls= */
typedef enum KernelUse {
        KERNEL_AUTO,  /* if kernel_test() says KERNEL_FIT */
        KERNEL_YES,   /* also with KERNEL_WAKES */
        KERNEL_NO,
} KernelUse;

/* Result of kernel_test(). The worst is last. */
typedef enum KernelFit {
        KERNEL_FIT,
        KERNEL_WAKES,     /* poll(2) reports an incomplete record as readable (before Linux 6.5) */
        KERNEL_NO_PAIR,   /* unknown, because the test could not make a connection */
        KERNEL_NO_CIPHER, /* it lacks one of the ciphers or versions */
        KERNEL_NO_TLS,    /* it has no TLS, or its module is not loaded */
} KernelFit;

/* Tries all versions and ciphers on connections of @pairs. */
KernelFit kernel_test(PairMaker *pairs);

/* Returns why the kernel's TLS is not used, for the log. The string is static. */
const char *kernel_fit_to_string(KernelFit fit);

/*
 * Turns the kernel's TLS on for @fd, which stays a socket without TLS until it has keys. It has to be done before the
 * handshake, because a client that has sent its FIN gets ENOTCONN (tls_init() demands TCP_ESTABLISHED). Returns 0,
 * -EBUSY: the keys of an outer handshake are set, or another negative errno.
 */
int kernel_prepare(int fd);

/* Conditions of kernel_set_keys(). */
enum {
        KERNEL_HALF = 1, /* the keys for sending are set, and those for receiving are not. The client has to be closed */
};

/*
 * Sets the keys. The socket must have been read up to the end of a record, and everything that was written with OpenSSL
 * must have been sent. Returns 0, a condition, or a negative errno: the socket is as before.
 */
int kernel_set_keys(int fd, const Keys *keys);
