/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/seal-store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassd/store.h"

/* With these no process can change the file any more. */
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

bool seal_store_is_key(int fd) {
        struct stat st;
        int seals = fcntl(fd, F_GET_SEALS);

        return seals >= 0 && (seals & SEALS) == SEALS && fstat(fd, &st) >= 0 && st.st_size == sizeof(SealKey);
}

/* Puts the key into a new memfd. The next process takes the first one of this name, so there must be no other. */
static int seal_store_save(const SealKey *key) {
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;
        int r;

        r = store_new(SEAL_STORE_NAME, MFD_ALLOW_SEALING, &fd);
        if (r < 0)
                return r;

        n = pwrite(fd, key, sizeof(*key), 0);
        if (n != (ssize_t) sizeof(*key))
                return n < 0 ? -errno : -EIO;
        if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;

        (void) sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=" SEAL_STORE_NAME);
        return store_put(SEAL_STORE_NAME, fd);
}

void seal_store_share(Broker *b, int fd) {
        _cleanup_close_ int key_fd = fd;
        SealKey key;
        int r;

        if (key_fd >= 0 && seal_store_is_key(key_fd) && pread(key_fd, &key, sizeof(key), 0) == (ssize_t) sizeof(key)) {
                b->seal_key = key;
                return;
        }

        r = seal_store_save(&b->seal_key);
        if (r < 0)
                log_line(b->diag.log, LOG_WARNING,
                         "Failed to keep the key of seals for the next broker: %s. After a restart, clients that have workers "
                         "now can't be handed back on their workers' connections, and are closed between two requests.",
                         strerror(-r));
}
