/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/reach.h"

#include "basic/array.h"
#include "basic/fd.h"
#include "handoff/handoff.h"

int own_sockets_add(OwnSockets *own, int fd) {
        FileId id;

        if (socket_path_of_bound(fd, &id) < 0)
                return 0; /* no path leads to it */

        if (!ARRAY_GROW(own->files, own->n))
                return -ENOMEM;

        own->files[own->n++] = id;
        return 0;
}

void own_sockets_done(OwnSockets *own) {
        free(TAKE_PTR(own->files));
        own->n = 0;
}

static bool reach_is_own(const OwnSockets *own, FileId id) {
        for (size_t i = 0; i < own->n; i++)
                if (file_id_equal(own->files[i], id))
                        return true;

        return false;
}

static int reach_by_file(const OwnSockets *own, Worker *w, int type) {
        _cleanup_close_ int file_fd = -EBADF;
        struct sockaddr_un address;
        SocketPath path;
        socklen_t len;
        int r;

        r = socket_path_open(w->path, &path);
        if (r < 0)
                return r;

        file_fd = path.fd;
        if (reach_is_own(own, path.id))
                return -EDEADLK;

        w->is_private = socket_path_is_private(&path);
        len = socket_path_address(file_fd, &address);
        return handoff_connect_type(&address, len, type);
}

int reach_connect(const OwnSockets *own, Worker *w, int type) {
        return w->is_private ? handoff_connect_type(&w->address, w->address_len, type) : reach_by_file(own, w, type);
}
