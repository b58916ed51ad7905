/* SPDX-License-Identifier: MIT-0 */

/*
 * Uses Landlock and seccomp together, because neither is enough (measured on Linux 6.18.44 and 6.12.117):
 *
 *                                     Landlock's TCP rights      seccomp
 *   connect(2) with an address        forbidden                  can't see the address
 *   bind(2) with a port               forbidden                  can't see the address
 *   listen(2) without bind(2)         allowed                    forbidden
 *   sendto(2) with MSG_FASTOPEN       allowed by 6.18.44         forbidden, by the flag
 *   connect(2) with AF_UNSPEC         allowed                    can't see the address
 *
 * seccomp does not see calls of io_uring, so io_uring_setup(2) is forbidden.
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

/* <linux/landlock.h> of Debian 12 is too old for the TCP rights of Landlock (Linux 6.7). */
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_restrict_self 446
#endif

typedef struct ConfineRuleset {
        uint64_t handled_access_fs;
        uint64_t handled_access_net;
} ConfineRuleset;

#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)

/* Forbids bind(2) and connect(2) for TCP, by a ruleset without rules (landlock(7)). */
static int confine_tcp(void) {
        ConfineRuleset set = { .handled_access_net = NET_BIND_TCP | NET_CONNECT_TCP };
        int fd, r;

        /* Linux before 6.7 returns E2BIG. Without Landlock it is ENOSYS or EOPNOTSUPP, behind a filter EPERM. */
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
#define X32_BIT 0x40000000 /* set in numbers of the x32 ABI, which shares AUDIT_ARCH_X86_64 */

typedef struct ConfineFilter {
        struct sock_filter code[INSTRUCTIONS_MAX];
        unsigned short n;
} ConfineFilter;

/* Adds an instruction. A jump skips @yes instructions if its test holds, and @no if not. */
static void confine_add(ConfineFilter *f, unsigned code, uint32_t k, uint8_t yes, uint8_t no) {
        f->code[f->n++] = (struct sock_filter){ (uint16_t) code, yes, no, k };
}

static void confine_return(ConfineFilter *f, uint32_t value) {
        confine_add(f, BPF_RET | BPF_K, value, 0, 0);
}

static void confine_load(ConfineFilter *f, size_t offset) {
        confine_add(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t) offset, 0, 0);
}

/* Loads the lower 32 bits of argument @i. */
static void confine_load_argument(ConfineFilter *f, unsigned i) {
        size_t half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0;

        confine_load(f, offsetof(struct seccomp_data, args) + i * sizeof(uint64_t) + half);
}

/* Refuses the call @number. The number of the call has to be loaded. */
static void confine_refuse(ConfineFilter *f, unsigned number) {
        confine_add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
        confine_return(f, RET_REFUSE);
}

/* Refuses the call @number if its argument @i has one of @bits. The number of the call has to be loaded. */
static void confine_refuse_bits(ConfineFilter *f, unsigned number, unsigned i, uint32_t bits) {
        confine_add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4);
        confine_load_argument(f, i);
        confine_add(f, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
        confine_return(f, RET_REFUSE);
        confine_return(f, SECCOMP_RET_ALLOW);
}

/* Refuses calls of other architectures, because their numbers differ. Loads the number of the call. */
static void confine_begin(ConfineFilter *f) {
        confine_load(f, offsetof(struct seccomp_data, arch));
        confine_add(f, BPF_JMP | BPF_JEQ | BPF_K, ARCH_NATIVE, 1, 0);
        confine_return(f, RET_REFUSE);
        confine_load(f, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
        confine_add(f, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1);
        confine_return(f, RET_REFUSE);
#endif
}

#ifdef __NR_socketcall
/*
 * Refuses calls by their numbers in <linux/net.h>. The other arguments are in memory, so MSG_FASTOPEN stays possible.
 */
static void confine_socketcall(ConfineFilter *f, unsigned flags) {
        enum { CALL_BIND = 2, CALL_CONNECT = 3, CALL_LISTEN = 4 };

        confine_add(f, BPF_JMP | BPF_JEQ | BPF_K, __NR_socketcall, 0, 8);
        confine_load_argument(f, 0);
        confine_refuse(f, flags & CONFINE_MAY_CONNECT ? UINT32_MAX : CALL_BIND);
        confine_refuse(f, flags & CONFINE_MAY_CONNECT ? UINT32_MAX : CALL_CONNECT);
        confine_refuse(f, flags & CONFINE_MAY_LISTEN ? UINT32_MAX : CALL_LISTEN);
        confine_return(f, SECCOMP_RET_ALLOW);
}
#endif

static int confine_calls(unsigned flags) {
        ConfineFilter f = {};
        struct sock_fprog program = { .filter = f.code };

        confine_begin(&f);
        confine_refuse(&f, __NR_io_uring_setup);
        if (!(flags & CONFINE_MAY_CONNECT)) {
                confine_refuse(&f, __NR_connect);
                confine_refuse(&f, __NR_bind);
        }
        if (!(flags & CONFINE_MAY_LISTEN))
                confine_refuse(&f, __NR_listen);
#ifdef __NR_socketcall
        confine_socketcall(&f, flags);
#endif
        confine_refuse_bits(&f, __NR_sendto, 3, MSG_FASTOPEN);
        confine_refuse_bits(&f, __NR_sendmsg, 2, MSG_FASTOPEN);
        confine_refuse_bits(&f, __NR_sendmmsg, 3, MSG_FASTOPEN);
        confine_return(&f, SECCOMP_RET_ALLOW);
        program.len = f.n;

        /* prctl(2) does the same as seccomp(2), which is not in @system-service of systemd 252. */
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

#else

static int confine_calls(unsigned flags) {
        return -ENOSYS; /* this architecture has no ARCH_NATIVE above */
}

#endif

int confine(unsigned flags) {
        int r;

        if (flags & ~(unsigned) (CONFINE_MAY_CONNECT | CONFINE_MAY_LISTEN))
                return -EINVAL;

        /* Landlock and seccomp need it, unless the process has CAP_SYS_ADMIN. */
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;

        r = confine_calls(flags);
        if (r < 0)
                return r;

        return flags & CONFINE_MAY_CONNECT ? confine_tcp() : 0;
}

/* Returns whether the interface is up and not a loopback one. Returns true also after an error. */
static bool confine_is_up(int fd, const char *name, size_t n) {
        struct ifreq request = {};

        if (n >= sizeof(request.ifr_name))
                return true;

        memcpy(request.ifr_name, name, n);
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
                return true;

        return request.ifr_flags & IFF_UP && !(request.ifr_flags & IFF_LOOPBACK);
}

/*
 * @text is from /proc/net/dev: two lines of headings, and a line "NAME: NUMBER…" for each interface (proc_pid_net(5)).
 */
static bool confine_has_interface_up(const char *text, int fd) {
        for (const char *line = text, *end; *line; line = *end ? end + 1 : end) {
                const char *name = line + strspn(line, " ");
                size_t n = strcspn(name, ":\n");

                end = name + strcspn(name, "\n");
                if (name[n] == ':' && confine_is_up(fd, name, n))
                        return true;
        }

        return false;
}

/* Reads /proc/net/dev. Returns false if it can't be read as a whole. stdio is not used, because it allocates memory. */
static bool confine_read_interfaces(char *buffer, size_t size) {
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

/* A socket of any family gives access to interfaces (netdevice(7)). RestrictAddressFamilies= leaves AF_UNIX. */
static bool confine_has_network(void) {
        char text[8192];
        int fd;
        bool is_there;

        if (!confine_read_interfaces(text, sizeof(text)))
                return true;

        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return true;

        is_there = confine_has_interface_up(text, fd);
        (void) close(fd);
        return is_there;
}

/* The filter refuses MSG_FASTOPEN with EPERM. Without it, the kernel refuses the descriptor with EBADF. */
static bool confine_is_in_force(void) {
        return sendto(-1, NULL, 0, MSG_FASTOPEN, NULL, 0) < 0 && errno == EPERM;
}

bool confine_is_due(void) {
        int saved_errno = errno;
        bool is_due = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0 && !confine_is_in_force() && !confine_has_network();

        errno = saved_errno;
        return is_due;
}
