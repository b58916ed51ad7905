/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/io.h"

#include <dlfcn.h>

#include "workers/preload/preload.h"

IoReal io_real;
atomic_bool io_is_ready;

static void io_find(const char *name, void *ret) {
        void *f = dlsym(RTLD_NEXT, name);

        if (!f)
                log_fatal("There is no function %s() to wrap.", name);
        memcpy(ret, &f, sizeof(f));
}

void io_init(void) {
        io_find("read", &io_real.read);
        io_find("readv", &io_real.readv);
        io_find("recv", &io_real.recv);
        io_find("recvfrom", &io_real.recvfrom);
        io_find("recvmsg", &io_real.recvmsg);
        io_find("recvmmsg", &io_real.recvmmsg);
        io_find("write", &io_real.write);
        io_find("writev", &io_real.writev);
        io_find("send", &io_real.send);
        io_find("sendto", &io_real.sendto);
        io_find("sendmsg", &io_real.sendmsg);
        io_find("sendmmsg", &io_real.sendmmsg);
        io_find("sendfile", &io_real.sendfile);
        io_find("splice", &io_real.splice);
        io_find("epoll_ctl", &io_real.epoll_ctl);
        io_find("dup2", &io_real.dup2);
        io_find("dup3", &io_real.dup3);
        io_find("initgroups", &io_real.initgroups);
        io_find("setgroups", &io_real.setgroups);
        io_find("syscall", &io_real.syscall);
        atomic_store_explicit(&io_is_ready, true, memory_order_release);
}
