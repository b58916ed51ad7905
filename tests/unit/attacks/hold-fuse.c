/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hold.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ROOT_NODE 1
#define FILE_NODE 2
#define VALID_SECONDS 1000

typedef struct Server {
        int fuse_fd;
        int wanted_fd; /* gets a byte for each request that is left without an answer */
        bool flush;
} Server;

static void fuse_reply(const Server *s, const struct fuse_in_header *request, int error, const void *p, size_t n) {
        char answer[256];
        struct fuse_out_header header = { .len = (uint32_t) (sizeof(header) + n), .error = error, .unique = request->unique };

        memcpy(answer, &header, sizeof(header));
        if (n > 0)
                memcpy(answer + sizeof(header), p, n);
        if (write(s->fuse_fd, answer, sizeof(header) + n) < 0 && errno != ENOENT)
                err(EXIT_FAILURE, "fuse");
}

static struct fuse_attr fuse_attributes(uint64_t node) {
        return (struct fuse_attr){
                .ino = node, .size = HOLD_PAGE, .nlink = 1, .mode = node == ROOT_NODE ? S_IFDIR | 0755 : S_IFREG | 0644,
        };
}

static void fuse_leave(const Server *s) {
        if (write(s->wanted_fd, "w", 1) < 0)
                err(EXIT_FAILURE, "pipe");
}

static void fuse_answer(const Server *s, const struct fuse_in_header *request) {
        struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = HOLD_PAGE, .max_readahead = HOLD_PAGE };
        struct fuse_attr_out attributes = { .attr = fuse_attributes(request->nodeid), .attr_valid = VALID_SECONDS };
        struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr = fuse_attributes(FILE_NODE),
                                        .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS };
        struct fuse_open_out open_out = { .fh = 1 };

        switch (request->opcode) {
        case FUSE_INIT:
                return fuse_reply(s, request, 0, &init, sizeof(init));
        case FUSE_GETATTR:
                return fuse_reply(s, request, 0, &attributes, sizeof(attributes));
        case FUSE_LOOKUP:
                return fuse_reply(s, request, 0, &entry, sizeof(entry));
        case FUSE_OPEN:
                return fuse_reply(s, request, 0, &open_out, sizeof(open_out));
        case FUSE_READ:
                return fuse_leave(s);
        case FUSE_FLUSH:
                return s->flush ? fuse_leave(s) : fuse_reply(s, request, 0, NULL, 0);
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
                return; /* these have no answer */
        case FUSE_RELEASE:
                return fuse_reply(s, request, 0, NULL, 0);
        default:
                return fuse_reply(s, request, -ENOSYS, NULL, 0);
        }
}

/*
 * The server holds the only descriptor of the connection, and none of the file: with its end all requests fail, and it
 * can always be killed.
 */
static _Noreturn void fuse_serve(const Server *s) {
        static _Alignas(8) char buffer[1 << 17];

        for (;;) {
                ssize_t n = read(s->fuse_fd, buffer, sizeof(buffer));

                if (n < 0 && errno == ENODEV)
                        _exit(EXIT_SUCCESS);
                if (n >= (ssize_t) sizeof(struct fuse_in_header))
                        fuse_answer(s, (const struct fuse_in_header *) buffer);
        }
}

static int fuse_open_device(const char *directory) {
        char path[512];
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return fd;

        /* A container may lack the node and still be allowed to make one. */
        snprintf(path, sizeof(path), "%s/fuse", directory);
        if (mknod(path, S_IFCHR | 0600, makedev(10, 229)) >= 0)
                fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                err(HOLD_SKIPPED, "/dev/fuse");
        (void) unlink(path);
        return fd;
}

static void fuse_mount(const char *directory, int fuse_fd) {
        char options[128];

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                err(HOLD_SKIPPED, "mount namespace");

        snprintf(options, sizeof(options), "fd=%i,rootmode=40000,user_id=0,group_id=0", fuse_fd);
        if (mount("fdpass-test", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
                err(HOLD_SKIPPED, "FUSE mount");
}

void hold_fuse(const char *directory, bool flush, int socket_fd, HoldPage *ret, int *ret_file_fd) {
        int fuse_fd = fuse_open_device(directory), ends[2];
        char path[512];
        pid_t pid;

        fuse_mount(directory, fuse_fd);
        if (pipe2(ends, O_CLOEXEC) < 0)
                err(EXIT_FAILURE, "pipe");

        pid = fork();
        if (pid < 0)
                err(EXIT_FAILURE, "fork");
        if (pid > 0) {
                close(socket_fd);
                close(ends[0]);
                fuse_serve(&(Server){ fuse_fd, ends[1], flush });
        }
        close(fuse_fd);
        close(ends[1]);

        snprintf(path, sizeof(path), "%s/file", directory);
        *ret_file_fd = open(path, O_RDWR | O_CLOEXEC);
        if (*ret_file_fd < 0)
                err(EXIT_FAILURE, "%s", path);

        *ret = (HoldPage){ .wanted_fd = ends[0] };
        ret->address = mmap(NULL, HOLD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, *ret_file_fd, 0);
        if (ret->address == MAP_FAILED)
                err(EXIT_FAILURE, "mmap");
}
