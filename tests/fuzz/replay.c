/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Feeds every file of a directory to a fuzz target, once: the corpus as an ordinary test, with any
 * compiler.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(int dir_fd, const char *name) {
        _cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;

        data = malloc((size_t) st.st_size + 1);
        if (!data)
                return -ENOMEM;

        n = read(fd, data, (size_t) st.st_size);
        if (n < 0)
                return -errno;

        (void) LLVMFuzzerTestOneInput(data, (size_t) n);
        return 0;
}

int main(int argc, char *argv[]) {
        struct dirent *entry;
        unsigned n = 0;
        DIR *dir;

        dir = argc == 2 ? opendir(argv[1]) : NULL;
        if (!dir) {
                fprintf(stderr, "Usage: %s DIRECTORY\n", argv[0]);
                return EXIT_FAILURE;
        }

        while ((entry = readdir(dir))) {
                int r;

                if (entry->d_name[0] == '.')
                        continue;

                r = replay(dirfd(dir), entry->d_name);
                if (r < 0) {
                        fprintf(stderr, "%s: %s\n", entry->d_name, strerror(-r));
                        closedir(dir);
                        return EXIT_FAILURE;
                }
                n++;
        }

        closedir(dir);
        printf("%u inputs\n", n);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE; /* an empty corpus tests nothing */
}
