/* SPDX-License-Identifier: MIT-0 */

/*
 * Two things of the kernel together, because neither is enough (as measured on Linux 6.18.44 and 6.12.117):
 *
 *                                     Landlock's TCP rights      seccomp
 *   connect(2) with an address        forbidden                  can't see the address
 *   bind(2) with a port               forbidden                  can't see the address
 *   listen(2) without bind(2)         allowed                    forbidden
 *   sendto(2) with MSG_FASTOPEN       allowed by 6.18.44         forbidden, by the flag
 *   connect(2) with AF_UNSPEC         allowed                    can't see the address
 *
 * io_uring does all of this out of seccomp's sight, so its setup is forbidden.
 */

#include "basic/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH_NATIVE AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define ARCH_NATIVE AUDIT_ARCH_I386
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH_NATIVE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH_NATIVE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_NATIVE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ARCH_NATIVE AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define ARCH_NATIVE AUDIT_ARCH_S390X
#endif

/* Landlock: <linux/landlock.h> of Debian 12 is older than its TCP rights. */
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_restrict_self 446
#endif

typedef struct LandlockRuleset {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
} LandlockRuleset;

#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

/* Forbids bind(2) and connect(2) for TCP, by a set of rules that allows none. */
static int confine_tcp(void) {
        LandlockRuleset set = { .handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP };
        int fd, r;

        /* Linux before 6.7 says E2BIG; without Landlock it is ENOSYS or EOPNOTSUPP, behind a filter EPERM. */
        fd = (int) syscall(__NR_landlock_create_ruleset, &set, sizeof(set), 0);
        if (fd < 0)
                return -EOPNOTSUPP;

        r = syscall(__NR_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
        (void) close(fd);
        return r;
}

#ifdef ARCH_NATIVE

#define INSTRUCTIONS_MAX 48
#define RET_REFUSE (SECCOMP_RET_ERRNO | EPERM)
#define X32_BIT 0x40000000 /* numbers of the x32 ABI, which shares AUDIT_ARCH_X86_64 */

typedef struct Filter {
        struct sock_filter code[INSTRUCTIONS_MAX];
        unsigned short n;
} Filter;

/* Of a jump: how many instructions it skips where the test holds, and where not. */
static void filter_add(Filter *f, unsigned code, uint32_t k, uint8_t yes, uint8_t no) {
        f->code[f->n++] = (struct sock_filter){ (uint16_t) code, yes, no, k };
}

static void filter_return(Filter *f, uint32_t value) {
        filter_add(f, BPF_RET | BPF_K, value, 0, 0);
}

static void filter_load(Filter *f, size_t offset) {
        filter_add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

/* Loads the half of an argument that has its lower 32 bits. */
static void filter_load_argument(Filter *f, unsigned i) {
        size_t half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0;

        filter_load(f, offsetof(struct seccomp_data, args) + i * sizeof(uint64_t) + half);
}

/* Refuses the call, with the call's number being loaded. */
static void filter_refuse(Filter *f, unsigned number) {
        filter_add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        filter_return(f, RET_REFUSE);
}

/* Refuses the call where argument @i has a bit of @bits. */
static void filter_refuse_bits(Filter *f, unsigned number, unsigned i, uint32_t bits) {
        filter_add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
        filter_load_argument(f, i);
        filter_add(f, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
        filter_return(f, RET_REFUSE);
        filter_return(f, SECCOMP_RET_ALLOW);
}

/* The numbers below are of one architecture only. */
static void filter_begin(Filter *f) {
        filter_load(f, offsetof(struct seccomp_data, arch));
        filter_add(f, BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 1, 0);
        filter_return(f, RET_REFUSE);
        filter_load(f, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
        filter_add(f, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1);
        filter_return(f, RET_REFUSE);
#endif
}

#ifdef __NR_socketcall
/* One call with the numbers of <linux/net.h>, whose further arguments can't be seen: MSG_FASTOPEN stays possible. */
static void filter_socketcall(Filter *f, unsigned flags) {
        enum { CALL_BIND = 2, CALL_CONNECT = 3, CALL_LISTEN = 4 };

        filter_add(f, BPF_JMP | BPF_JEQ | BPF_K, __NR_socketcall, 0, 8);
        filter_load_argument(f, 0);
        filter_refuse(f, flags & CONFINE_MAY_CONNECT ? UINT32_MAX : CALL_BIND);
        filter_refuse(f, flags & CONFINE_MAY_CONNECT ? UINT32_MAX : CALL_CONNECT);
        filter_refuse(f, flags & CONFINE_MAY_LISTEN ? UINT32_MAX : CALL_LISTEN);
        filter_return(f, SECCOMP_RET_ALLOW);
}
#endif

static int confine_calls(unsigned flags) {
        Filter f = {};
        struct sock_fprog program = { .filter = f.code };

        filter_begin(&f);
        filter_refuse(&f, __NR_io_uring_setup);
        if (!(flags & CONFINE_MAY_CONNECT)) {
                filter_refuse(&f, __NR_connect);
                filter_refuse(&f, __NR_bind);
        }
        if (!(flags & CONFINE_MAY_LISTEN))
                filter_refuse(&f, __NR_listen);
#ifdef __NR_socketcall
        filter_socketcall(&f, flags);
#endif
        filter_refuse_bits(&f, __NR_sendto, 3, MSG_FASTOPEN);
        filter_refuse_bits(&f, __NR_sendmsg, 2, MSG_FASTOPEN);
        filter_refuse_bits(&f, __NR_sendmmsg, 3, MSG_FASTOPEN);
        filter_return(&f, SECCOMP_RET_ALLOW);
        program.len = f.n;

        /* Not seccomp(2): systemd 252 leaves that out of @system-service, and the other way is the same. */
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

#else

static int confine_calls(unsigned flags) {
        return -ENOSYS; /* the numbers of this architecture's calls are not known here */
}

#endif

int confine(unsigned flags) {
        int r;

        if (flags & ~(unsigned) (CONFINE_MAY_CONNECT | CONFINE_MAY_LISTEN))
                return -EINVAL;

        /* Without it, only root may do the rest. */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;

        r = confine_calls(flags);
        if (r < 0)
                return r;

        return flags & CONFINE_MAY_CONNECT ? confine_tcp() : 0;
}

/* Returns true where the interface is up and no loopback one, and where the kernel doesn't tell. */
static bool is_up(int fd, const char *name, size_t n) {
        struct ifreq request = {};

        if (n >= sizeof(request.ifr_name))
                return true;

        memcpy(request.ifr_name, name, n);
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
                return true;

        return request.ifr_flags & IFF_UP && !(request.ifr_flags & IFF_LOOPBACK);
}

/* @text is /proc/net/dev: a line "NAME: NUMBER…" for each interface of the network namespace, behind two lines of headings. */
static bool has_interface_up(const char *text, int fd) {
        for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
                const char *name = line + strspn(line, " ");
                size_t n = strcspn(name, ":\n");

                end = name + strcspn(name, "\n");
                if (name[n] == ':' && is_up(fd, name, n))
                        return true;
        }

        return false;
}

/* Without stdio, because the preload must not allocate memory. False: it can't be read, or not as a whole. */
static bool read_interfaces(char *buffer, size_t size) {
        int fd = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
        size_t n = 0;
        ssize_t r = -1;

        while (fd >= 0 && n < size - 1 && (r = read(fd, buffer + n, size - 1 - n)) > 0)
                n += (size_t) r;
        buffer[n] = '\0';

        if (fd >= 0)
                (void) close(fd);
        return r == 0;
}

/* Interfaces can be asked about by any socket. AF_UNIX is what RestrictAddressFamilies= leaves. */
static bool has_network(void) {
        char text[8192];
        int fd;
        bool is_there;

        if (!read_interfaces(text, sizeof(text)))
                return true;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return true;

        is_there = has_interface_up(text, fd);
        (void) close(fd);
        return is_there;
}

/* Our filter refuses this flag before the kernel looks at the descriptor, which is none. */
static bool is_confined(void) {
        return sendto(-1, NULL, 0, MSG_FASTOPEN, NULL, 0) < 0 && errno == EPERM;
}

bool confine_is_due(void) {
        int saved_errno = errno;
        bool is_due = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0 && !is_confined() && !has_network();

        errno = saved_errno;
        return is_due;
}
