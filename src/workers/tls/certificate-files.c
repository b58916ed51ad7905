/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <dirent.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/stat.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "workers/tls/certificate-report.h"

/* Directories in directories that are read. */
#define CERTIFICATE_DEPTH_MAX 8

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

/* One call of certificate_files_walk(). */
typedef struct CertificateWalk {
        CertificateFound found;
        void *userdata;
} CertificateWalk;

static int certificate_files_walk_below(const CertificateWalk *w, int dir_fd, const char *prefix, unsigned depth);

static int certificate_files_walk_entry(const CertificateWalk *w, int dir_fd, const char *prefix, const char *entry,
                                        unsigned depth) {
        _cleanup_close_ int fd = openat(dir_fd, entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_free_ char *name = NULL;
        struct stat st;

        if (fd < 0 && (errno == ENXIO || errno == ENOENT)) /* a socket; just replaced */
                return 0;
        if (fd < 0)
                fd = -errno;
        if (asprintf(&name, "%s%s%s", prefix, *prefix ? "_" : "", entry) < 0)
                return -ENOMEM;

        if (fd >= 0 && fstat(fd, &st) >= 0 && S_ISDIR(st.st_mode))
                return depth < CERTIFICATE_DEPTH_MAX ? certificate_files_walk_below(w, TAKE_FD(fd), name, depth + 1) : 0;
        return w->found(w->userdata, fd, name);
}

/* Consumes @dir_fd. */
static int certificate_files_walk_below(const CertificateWalk *w, int dir_fd, const char *prefix, unsigned depth) {
        _cleanup_(certificate_files_close_dir) DIR *d = fdopendir(dir_fd);
        int r = 0;

        if (!d) {
                r = -errno;
                fd_close(dir_fd);
                return r;
        }

        for (struct dirent *e; r >= 0 && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        r = certificate_files_walk_entry(w, dirfd(d), prefix, e->d_name, depth);

        return MIN(r, 0);
}

int certificate_files_walk(const char *path, CertificateFound found, void *userdata) {
        const CertificateWalk w = { found, userdata };
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : certificate_files_walk_below(&w, fd, "", 0);
}

/* One call of certificate_files_read(). */
typedef struct CertificateReading {
        CertificateFiles *files;
        const char *credential;
        const CertificateReport *report;
} CertificateReading;

static int certificate_files_on_file(void *userdata, int fd, const char *name) {
        const CertificateReading *reading = userdata;
        const char *shown = certificate_files_shown(name, reading->credential);
        _cleanup_free_ char *key_name = NULL;
        int r;

        if (!shown)
                return 0;

        r = fd < 0 ? fd : certificate_files_add(reading->files, fd, shown);
        if (r == 0 || r == -ENOMEM)
                return r;
        if (r != -ELOOP)
                certificate_report_problem(reading->report, shown, "it can't be read: %s. It is left out.", strerror(-r));
        else if (certificate_pair_of(shown, &key_name) > 0)
                certificate_report_problem(reading->report, shown, "it is a symbolic link, which systemd does not follow in "
                                           "a directory of credentials. It is left out.");
        return 0;
}

int certificate_files_read(CertificateFiles *ret, const char *path, const char *credential,
                           const CertificateReport *report) {
        CertificateReading reading = { ret, credential, report };
        int r;

        *ret = (CertificateFiles){};
        r = certificate_files_walk(path, certificate_files_on_file, &reading);
        if (r < 0)
                certificate_files_done(ret);
        else
                certificate_files_sort(ret);
        return r;
}
