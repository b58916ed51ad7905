/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassd/drained.h"

#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "fdpassd/store.h"

/* Limit of the paths together, in bytes. A path has 108 at most (unix(7)). */
#define DRAINED_SIZE_MAX ((size_t) 1 << 20)

void drained_done(Drained *d) {
        fd_close(d->fd);
}

bool drained_is_store(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && S_ISREG(st.st_mode);
}

static Worker *drained_find_worker(const Broker *b, const char *path) {
        for (size_t i = 0; i < b->workers.n_workers; i++)
                if (streq(b->workers.workers[i]->path, path))
                        return b->workers.workers[i];

        return NULL;
}

/* Reads the memfd into a new string with a NUL at its end. Returns its size or a negative errno. */
static ssize_t drained_read(int fd, char **ret) {
        _cleanup_free_ char *text = calloc(1, DRAINED_SIZE_MAX + 1);
        ssize_t n;

        if (!text)
                return -ENOMEM;

        n = pread(fd, text, DRAINED_SIZE_MAX, 0);
        if (n < 0)
                return -errno;

        *ret = TAKE_PTR(text);
        return n;
}

void drained_restore(Drained *d) {
        _cleanup_free_ char *text = NULL;
        ssize_t n;

        if (d->fd < 0)
                return;

        n = drained_read(d->fd, &text);
        if (n < 0)
                log_line(d->broker->diag.log, LOG_WARNING,
                         "Failed to read which workers were drained: %s. All get clients.", strerror((int) -n));

        for (const char *path = text; n > 0 && path < text + n; path += strlen(path) + 1) {
                Worker *w = drained_find_worker(d->broker, path);

                if (!w)
                        continue;

                broker_drain_worker(d->broker, w, true);
                log_line(d->broker->diag.log, LOG_NOTICE,
                         "Worker %s is still drained. To end that: fdpassctl undrain %s", path, path);
        }
}

static int drained_make_store(Drained *d) {
        int r;

        r = store_new(DRAINED_NAME, 0, &d->fd);
        return r < 0 ? r : store_put(DRAINED_NAME, d->fd);
}

static int drained_write(int fd, const Broker *b) {
        size_t size = 0;

        /* A longer list is read up to its end, if this process dies before it has truncated the file. */
        for (size_t i = 0; i < b->workers.n_workers; i++) {
                const Worker *w = b->workers.workers[i];
                size_t n = strlen(w->path) + 1;

                if (!w->is_drained || size + n > DRAINED_SIZE_MAX)
                        continue;
                if (pwrite(fd, w->path, n, (off_t) size) != (ssize_t) n)
                        return errno > 0 ? -errno : -EIO;
                size += n;
        }

        return ftruncate(fd, (off_t) size) < 0 ? -errno : 0;
}

static bool drained_any(const Broker *b) {
        for (size_t i = 0; i < b->workers.n_workers; i++)
                if (b->workers.workers[i]->is_drained)
                        return true;

        return false;
}

void drained_save(Drained *d) {
        int r = 0;

        if (d->fd < 0 && !drained_any(d->broker))
                return;

        if (d->fd < 0)
                r = drained_make_store(d);
        if (r >= 0)
                r = drained_write(d->fd, d->broker);
        if (r < 0)
                log_line(d->broker->diag.log, LOG_WARNING,
                         "Failed to note which workers are drained: %s. After a restart of the broker all get clients.",
                         strerror(-r));
}

void drained_log_stop(const Drained *d) {
        const Broker *b = d->broker;

        for (size_t i = 0; i < b->workers.n_workers; i++)
                if (b->workers.workers[i]->is_drained)
                        log_line(b->diag.log, LOG_NOTICE,
                                 "Worker %s is drained. It stays so if the broker is restarted, and gets clients again "
                                 "if the broker is stopped and started.", b->workers.workers[i]->path);
}
