/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "workers/tls/certificate.h"

static void certificate_file_done(CertificateFile *f) {
        if (f->bytes)
                OPENSSL_cleanse(f->bytes, f->n); /* it may be a key */
        free(f->bytes);
        free(f->name);
}

void certificate_files_done(CertificateFiles *files) {
        for (size_t i = 0; i < files->n_items; i++)
                certificate_file_done(&files->items[i]);
        free(files->items);
        *files = (CertificateFiles){};
}

/* Reads all of a file. Returns 0, a negative errno, or 1 if it is no regular file. */
static int certificate_file_read(CertificateFile *f, int fd) {
        struct stat st;
        ssize_t n;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return 1;
        if (st.st_size > CERTIFICATE_FILE_MAX)
                return -EFBIG;

        f->bytes = malloc((size_t) st.st_size + 1);
        if (!f->bytes)
                return -ENOMEM;

        n = fd_read(fd, f->bytes, (size_t) st.st_size);
        f->n = n > 0 ? (size_t) n : 0;
        return n < 0 ? (int) n : 0;
}

int certificate_files_add(CertificateFiles *files, int fd, const char *name) {
        CertificateFile f = {};
        int r;

        r = certificate_file_read(&f, fd);
        if (r == 0 && (!(f.name = strdup(name)) || !ARRAY_GROW(files->items, files->n_items)))
                r = -ENOMEM;
        if (r == 0)
                files->items[files->n_items++] = f;
        else
                certificate_file_done(&f);

        return r < 0 ? r : 0;
}

static int certificate_files_open(CertificateFiles *files, int dir_fd, const char *path, const char *name,
                                  const char *shown, Log *log) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        int r = fd < 0 ? -errno : certificate_files_add(files, fd, shown);

        if (r == 0 || r == -ENOMEM || r == -ELOOP || r == -ENXIO) /* a link, as systemd leaves it out, or a socket */
                return r == -ENOMEM ? r : 0;

        log_line(log, LOG_ERR, "%s/%s can't be read: %s. It is left out.", path, name, strerror(-r));
        return 0;
}

/* Returns the name of a file without the prefix of the credential, or NULL if it belongs to another one. */
static const char *certificate_files_shown(const char *name, const char *credential) {
        const char *rest;

        if (name[0] == '.')
                return NULL;
        if (!credential)
                return name;

        rest = startswith(name, credential);
        return rest && *rest == '_' ? rest + 1 : NULL;
}

static int certificate_files_compare(const void *a, const void *b) {
        return strcmp(((const CertificateFile *) a)->name, ((const CertificateFile *) b)->name);
}

void certificate_files_sort(CertificateFiles *files) {
        if (files->n_items > 1)
                qsort(files->items, files->n_items, sizeof(*files->items), certificate_files_compare);
}

static void certificate_files_close_dir(DIR **d) {
        if (*d)
                closedir(*d);
}

int certificate_files_read(CertificateFiles *ret, const char *path, const char *credential, Log *log) {
        _cleanup_(certificate_files_close_dir) DIR *d = opendir(path);
        int r = 0;

        *ret = (CertificateFiles){};
        if (!d)
                return -errno;

        for (struct dirent *e; r == 0 && (e = readdir(d));) {
                const char *shown = certificate_files_shown(e->d_name, credential);

                if (shown)
                        r = certificate_files_open(ret, dirfd(d), path, e->d_name, shown, log);
        }

        if (r < 0)
                certificate_files_done(ret);
        else
                certificate_files_sort(ret);
        return r;
}
