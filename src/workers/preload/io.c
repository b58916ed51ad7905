/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/io.h"

#include <dlfcn.h>

#include "workers/preload/preload.h"

IoReal io_real;
atomic_bool io_is_ready;

/* glibc has it, whose locks have other sizes on machines of 32 bits. */
static void io_find_fcntl64(void) {
        void *f = dlsym(RTLD_NEXT, "fcntl64");

        io_real.fcntl64 = io_real.fcntl;
        if (f)
                memcpy(&io_real.fcntl64, &f, sizeof(f));
}

void io_init(void) {
        real_find("read", &io_real.read);
        real_find("readv", &io_real.readv);
        real_find("recv", &io_real.recv);
        real_find("recvfrom", &io_real.recvfrom);
        real_find("recvmsg", &io_real.recvmsg);
        real_find("recvmmsg", &io_real.recvmmsg);
        real_find("write", &io_real.write);
        real_find("writev", &io_real.writev);
        real_find("send", &io_real.send);
        real_find("sendto", &io_real.sendto);
        real_find("sendmsg", &io_real.sendmsg);
        real_find("sendmmsg", &io_real.sendmmsg);
        real_find("sendfile", &io_real.sendfile);
        real_find("splice", &io_real.splice);
        real_find("close", &io_real.close);
        real_find("epoll_ctl", &io_real.epoll_ctl);
        real_find("epoll_wait", &io_real.epoll_wait);
        real_find("epoll_pwait", &io_real.epoll_pwait);
        real_find("epoll_pwait2", &io_real.epoll_pwait2);
        real_find("close_range", &io_real.close_range);
        real_find("closefrom", &io_real.closefrom);
        real_find("dup", &io_real.dup);
        real_find("dup2", &io_real.dup2);
        real_find("dup3", &io_real.dup3);
        real_find("fcntl", &io_real.fcntl);
        io_find_fcntl64();
        real_find("initgroups", &io_real.initgroups);
        real_find("setgroups", &io_real.setgroups);
        real_find("syscall", &io_real.syscall);
        real_find("posix_spawn", &io_real.posix_spawn);
        real_find("posix_spawnp", &io_real.posix_spawnp);
        atomic_store_explicit(&io_is_ready, true, memory_order_release);
}
