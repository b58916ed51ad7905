/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "workers/tls/kernel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "basic/fd.h"

#ifndef SOL_TLS /* glibc before 2.37 */
#define SOL_TLS 282
#endif

/* Time for bytes to cross the loopback, in steps of 1 ms. */
#define KERNEL_CROSS_STEPS 1000

/* True if keys are set. Without, the kernel answers EBUSY (do_tls_getsockopt_conf()). */
static bool kernel_has_keys(int fd) {
        struct tls_crypto_info info;

        return getsockopt(fd, SOL_TLS, TLS_TX, &info, &(socklen_t){ sizeof(info) }) >= 0 || errno != EBUSY;
}

int kernel_prepare(int fd) {
        if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) >= 0)
                return 0;
        if (errno != EEXIST)
                return -errno;

        return kernel_has_keys(fd) ? -EBUSY : 0;
}

int kernel_set_keys(int fd, const Keys *keys) {
        if (setsockopt(fd, SOL_TLS, TLS_TX, &keys->tx, keys->size) < 0)
                return -errno;

        return setsockopt(fd, SOL_TLS, TLS_RX, &keys->rx, keys->size) < 0 ? KERNEL_HALF : 0;
}

/* Tells whether the first bytes of a record wake a reader up. */
static KernelFit kernel_test_wake(int from_fd, int fd) {
        static const uint8_t part[] = { 23, 3, 3 };
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int n = 1;

        if (send(from_fd, part, sizeof(part), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(part))
                return KERNEL_NO_PAIR;

        /* Bytes have arrived when they are acknowledged. */
        for (unsigned i = 0; i < KERNEL_CROSS_STEPS && n > 0; i++)
                if (ioctl(from_fd, SIOCOUTQ, &n) >= 0 && n > 0)
                        (void) poll(NULL, 0, 1);

        return n > 0 ? KERNEL_NO_PAIR : poll(&poll_fd, 1, 0) > 0 ? KERNEL_WAKES : KERNEL_FIT;
}

static KernelFit kernel_test_one(PairMaker *pairs, int version, int nid) {
        _cleanup_close_ int own_fd = -EBADF, fd = -EBADF;
        Keys keys;
        int r;

        r = pair_make(pairs, &own_fd, &fd);
        if (r < 0)
                return KERNEL_NO_PAIR;
        if (kernel_prepare(fd) < 0)
                return KERNEL_NO_TLS;

        keys.size = keys_option_init(&keys.tx, version, nid);
        (void) keys_option_init(&keys.rx, version, nid);
        if (kernel_set_keys(fd, &keys) != 0)
                return KERNEL_NO_CIPHER;

        return kernel_test_wake(own_fd, fd);
}

KernelFit kernel_test(PairMaker *pairs) {
        static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
        static const int nids[] = { NID_aes_128_gcm, NID_aes_256_gcm, NID_chacha20_poly1305 };
        KernelFit worst = KERNEL_FIT;

        for (size_t i = 0; i < ELEMENTSOF(versions) * ELEMENTSOF(nids); i++)
                worst = MAX(worst, kernel_test_one(pairs, versions[i / ELEMENTSOF(nids)], nids[i % ELEMENTSOF(nids)]));

        return worst;
}

const char *kernel_fit_to_string(KernelFit fit) {
        switch (fit) {
        case KERNEL_WAKES:
                return "a worker that polls would spin on an incomplete record (before Linux 6.5)";
        case KERNEL_NO_PAIR:
                return "the kernel's TLS can't be tried over the loopback";
        case KERNEL_NO_CIPHER:
                return "the kernel's TLS lacks a cipher or a version";
        case KERNEL_NO_TLS:
                return "the kernel's TLS is not there. \"modprobe tls\" loads it; for a container that is to be done on its host";
        case KERNEL_FIT:
                break;
        }
        return "it is not wanted";
}
