/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "hold.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* With 3 processes a hole takes some 0.2 s. */
#define MAPPINGS 60000

static int memory_fd;

void hold_userfaultfd(HoldPage *ret) {
        struct uffdio_api api = { .api = UFFD_API };
        struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
        int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

        if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
                err(HOLD_SKIPPED, "userfaultfd");

        *ret = (HoldPage){ .wanted_fd = fd };
        ret->address = mmap(NULL, HOLD_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (ret->address == MAP_FAILED)
                err(EXIT_FAILURE, "mmap");

        range.range = (struct uffdio_range){ (uintptr_t) ret->address, HOLD_PAGE };
        if (ioctl(fd, UFFDIO_REGISTER, &range) < 0)
                err(HOLD_SKIPPED, "UFFDIO_REGISTER");
}

static _Noreturn void memory_map_often(int done_fd) {
        hold_become_nobody();
        for (unsigned i = 0; i < MAPPINGS; i++)
                if (mmap(NULL, HOLD_PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, memory_fd, 0) == MAP_FAILED)
                        break; /* vm.max_map_count */
        (void) !write(done_fd, "", 1);
        for (;;)
                pause();
}

static void memory_punch(void) {
        if (fallocate(memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2L * HOLD_PAGE) < 0)
                err(EXIT_FAILURE, "fallocate");
}

void hold_memfd(unsigned n_processes, HoldPage *ret) {
        int ends[2];
        char byte;

        memory_fd = memfd_create("hold", MFD_CLOEXEC);
        if (memory_fd < 0 || ftruncate(memory_fd, 2L * HOLD_PAGE) < 0 || pipe(ends) < 0)
                err(EXIT_FAILURE, "memfd");

        for (unsigned i = 0; i < n_processes; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        err(EXIT_FAILURE, "fork");
                if (pid == 0)
                        memory_map_often(ends[1]);
        }
        for (unsigned i = 0; i < n_processes; i++)
                if (read(ends[0], &byte, 1) != 1)
                        err(EXIT_FAILURE, "pipe");

        /* The first page is mapped that often, the second one is never there. */
        *ret = (HoldPage){ .wanted_fd = -1, .punch = memory_punch };
        ret->address = mmap(NULL, HOLD_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, HOLD_PAGE);
        if (ret->address == MAP_FAILED)
                err(EXIT_FAILURE, "mmap");
}
