/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "broker/stage/way-back.h"

void ways_back_init(WaysBack *ways) {
        list_init(&ways->waiting);
}

int ways_back_add(WaysBack *ways, int fd, uint32_t worker, bool wants_drains) {
        WayBack *way = malloc(sizeof(*way));

        if (!way)
                return -ENOMEM;

        *way = (WayBack){ .fd = fd, .worker = worker, .wants_drains = wants_drains };
        list_append(&ways->waiting, &way->link);
        return 0;
}

bool ways_back_take(WaysBack *ways, int *ret_fd, uint32_t *ret_worker, bool *ret_wants_drains) {
        List *first = list_first(&ways->waiting);
        WayBack *way;

        if (!first)
                return false;

        way = CONTAINER_OF(first, WayBack, link);
        *ret_fd = way->fd;
        *ret_worker = way->worker;
        *ret_wants_drains = way->wants_drains;
        list_remove(&way->link);
        free(way);
        return true;
}
