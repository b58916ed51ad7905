/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/reach.h"

#include "basic/array.h"
#include "basic/fd.h"
#include "handoff/handoff.h"

int reach_add_own(Broker *b, int fd) {
        FileId id;

        if (socket_path_of_bound(fd, &id) < 0)
                return 0; /* no path leads there */

        if (!ARRAY_GROW(b->own_sockets, b->n_own_sockets))
                return -ENOMEM;

        b->own_sockets[b->n_own_sockets++] = id;
        return 0;
}

static bool reach_is_own(const Broker *b, FileId id) {
        for (size_t i = 0; i < b->n_own_sockets; i++)
                if (file_id_equal(b->own_sockets[i], id))
                        return true;

        return false;
}

static int reach_by_file(Broker *b, Worker *w, Reach *ret) {
        SocketPath path;
        int r;

        r = socket_path_open(w->path, &path);
        if (r < 0)
                return r;

        ret->fd = path.fd;
        if (reach_is_own(b, path.id))
                return -EDEADLK;

        w->is_private = socket_path_is_private(&path);
        ret->address = &ret->own;
        ret->len = socket_path_address(path.fd, &ret->own);
        return 0;
}

int reach(Broker *b, Worker *w, Reach *ret) {
        ret->fd = -EBADF;
        if (!w->is_private)
                return reach_by_file(b, w, ret);

        ret->address = &w->address;
        ret->len = w->address_len;
        return 0;
}

void reach_done(Reach *r) {
        fd_close(r->fd);
}

int reach_connect(Broker *b, Worker *w, int type) {
        _cleanup_reach_ Reach way;
        int r;

        r = reach(b, w, &way);
        return r < 0 ? r : handoff_connect_type(way.address, way.len, type);
}
