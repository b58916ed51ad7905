/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/drain-host.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/utf8.h"
#include "fdpassctl/options.h"
#include "fdpassctl/running.h"
#include "handoff/protocol.h"

/* Bytes of the reason (FDPASS_DRAINING_PATH). */
#define DRAIN_REASON_MAX 255

static int drain_host_print(const char *what, const char *path) {
        int r = -errno;

        fprintf(stderr, "Failed to %s %s: %s%s\n", what, path, strerror(-r), r == -EACCES ? ". Only root may do it." : ".");
        return r;
}

/* Writes the file anew, because a reader must not see a part of it. */
static int drain_host_write(const char *path, const char *reason) {
        _cleanup_close_ int fd = -EBADF;
        char temporary[PATH_MAX + 16], line[DRAIN_REASON_MAX + 2];
        int n, r;

        (void) snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
        fd = mkostemp(temporary, O_CLOEXEC);
        if (fd < 0)
                return drain_host_print("write", path);

        n = snprintf(line, sizeof(line), "%s\n", reason);
        if (write(fd, line, (size_t) n) != n || fchmod(fd, 0644) < 0 || rename(temporary, path) < 0) {
                r = drain_host_print("write", path);
                (void) unlink(temporary);
                return r;
        }

        return 0;
}

static int drain_host_check(const char *reason) {
        if (strlen(reason) <= DRAIN_REASON_MAX && utf8_is_valid(reason) && !strpbrk(reason, "\n\r"))
                return 0;

        fprintf(stderr, "--reason= takes one line of text with at most %i bytes.\n", DRAIN_REASON_MAX);
        return -EINVAL;
}

/* Tells the broker with this control socket, if it runs. A broker that starts reads the file by itself. */
static int drain_host_tell(const char *control) {
        const char *before = arg_control;
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = 0;

        arg_control = control;
        if (running_is_running()) {
                r = bus_open(&bus);
                if (r >= 0)
                        r = bus_call(bus, "ReadHostDrain", NULL, "");
        }
        arg_control = before;
        return r;
}

static int drain_host_tell_all(void) {
        glob_t shards = {};
        int r, result = drain_host_tell(arg_control);

        if (glob("/run/fdpass/shard-*/control", GLOB_NOSORT, NULL, &shards) == 0)
                for (size_t i = 0; i < shards.gl_pathc; i++) {
                        r = drain_host_tell(shards.gl_pathv[i]);
                        result = r < 0 ? r : result;
                }

        globfree(&shards);
        return result;
}

int drain_host_set(const char *reason) {
        char path[PATH_MAX];
        int r = 0;

        (void) snprintf(path, sizeof(path), "%s%s", streq(arg_root, "/") ? "" : arg_root, FDPASS_DRAINING_PATH);
        if (reason)
                r = drain_host_check(reason);
        if (r >= 0 && reason)
                r = drain_host_write(path, reason);
        else if (r >= 0 && unlink(path) < 0 && errno != ENOENT)
                r = drain_host_print("remove", path);
        if (r >= 0 && streq(arg_root, "/"))
                r = drain_host_tell_all();

        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
