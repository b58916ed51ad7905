/* SPDX-License-Identifier: MIT-0 */

/* See fdpass-protocol(7) for the messages. */

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "workers/preload/back.h"
#include "workers/preload/io.h"
#include "workers/preload/preload.h"

/* Tries to send. A broker that was restarted has closed the connection before. */
#define TRIES 3

/* The broker answers each client with a byte. As many are left in our socket before they are read. */
#define ANSWERS_MAX 16

/* The header before the addresses: PROXY protocol, section 2.2. */
#define PREFIX_SIZE 16

/* Bytes of a TLV before its value. */
#define TLV_HEAD 3

/* Groups of a process that are looked at. */
#define GROUPS_MAX 256

_public_ int back_initgroups(const char *user, gid_t group) __asm__("initgroups");
_public_ int back_setgroups(size_t n, const gid_t *groups) __asm__("setgroups");

/* How long to wait for the broker's word that it is ready, or for room. */
#define READY_MS 100

static struct {
        char path[sizeof(((struct sockaddr_un *) NULL)->sun_path)];
        bool is_wanted;
        atomic_int fd;
        atomic_uint process;      /* forks_process() */
        atomic_int pid;
        atomic_bool is_ready;     /* the broker takes clients on it */
        atomic_bool is_drained;   /* the broker has told so last (FDPASS_TELL_DRAINED) */
        atomic_uint generation;   /* of the scope that it came with; 0: it was connected */
        _Atomic uint64_t cookie;
        atomic_uint n_sent;
} back = { .fd = -EBADF };

void back_init(void) {
        const char *path = getenv("FDPASS_RETURN");

        back.is_wanted = !path || strcmp(path, "no") != 0;
        if (!path || !back.is_wanted)
                path = FDPASS_RETURN_PATH;
        if (path[0] != '/' || strlen(path) >= sizeof(back.path))
                log_fatal("FDPASS_RETURN=%s is neither \"no\" nor the path of a broker's return socket.", path);

        memcpy(back.path, path, strlen(path) + 1);
}

bool back_is_wanted(void) {
        return back.is_wanted;
}

const char *back_path(void) {
        return back.path;
}

/* Facts of the connection, which are true for its next request too. The others are of the last handoff or request. */
static bool back_is_kept(uint8_t type) {
        return type == FDPASS_TLV_VERSION || type == FDPASS_TLV_LISTENER || type == FDPASS_TLV_UNIQUE_ID ||
               type == FDPASS_TLV_SSL || type == FDPASS_TLV_ALPN || type == FDPASS_TLV_SEAL ||
               type == FDPASS_TLV_PROXY;
}

size_t back_make_header(const uint8_t *message, size_t n, uint8_t *ret, Slice *ret_scope) {
        size_t n_addresses, length = PREFIX_SIZE;
        uint8_t type;
        Reader tlvs;
        Slice value;

        /* message_read() has checked the frame. */
        if (n < PREFIX_SIZE)
                return 0;
        n_addresses = message[13] == 0x11 ? 12 : message[13] == 0x21 ? 36 : 0;
        if (n < PREFIX_SIZE + n_addresses || ((size_t) message[14] << 8 | message[15]) < n_addresses)
                return 0;

        memcpy(ret, message, PREFIX_SIZE + n_addresses);
        length += n_addresses;
        tlvs = (Reader){ message + length, ((size_t) message[14] << 8 | message[15]) - n_addresses };
        if (tlvs.n > n - length)
                return 0;

        for (;;) {
                const uint8_t *begin = tlvs.p;
                size_t size;

                if (!reader_tlv(&tlvs, &type, &value))
                        break;
                if (type == FDPASS_TLV_SCOPE)
                        *ret_scope = value;
                if (!back_is_kept(type))
                        continue;

                size = (size_t) (tlvs.p - begin);
                if (size > BACK_HEADER_MAX - length)
                        return 0;
                memcpy(ret + length, begin, size);
                length += size;
        }

        ret[14] = (uint8_t) ((length - PREFIX_SIZE) >> 8);
        ret[15] = (uint8_t) (length - PREFIX_SIZE);
        return length;
}

/* Makes @fd, which is consumed, our connection. Returns its number. */
static int back_adopt(int fd, bool is_ready, uint32_t generation) {
        fd = move_up_fd(fd);
        atomic_store(&back.cookie, socket_cookie(fd));
        atomic_store(&back.process, forks_process());
        atomic_store(&back.pid, getpid());
        atomic_store(&back.is_ready, is_ready);
        atomic_store(&back.is_drained, false);
        atomic_store(&back.generation, generation);
        atomic_store(&back.fd, fd);
        return fd;
}

static int back_connect(void) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        memcpy(address.sun_path, back.path, sizeof(address.sun_path));
        fd = real.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || real.connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;

        return back_adopt(take_fd(&fd), /* is_ready= */ true, 0);
}

/* Without a system call: back_watch_close() tells if the program has closed it. */
static bool back_is_ours(int fd) {
        return fd >= 0 && atomic_load(&back.process) == forks_process();
}

void back_watch_close(unsigned first, unsigned last) {
        int fd = atomic_load_explicit(&back.fd, memory_order_relaxed);

        /* The child of vfork(2) has the memory of its parent, and descriptors of its own. */
        if (fd >= 0 && (unsigned) fd >= first && (unsigned) fd <= last && atomic_load(&back.pid) == getpid())
                (void) atomic_compare_exchange_strong(&back.fd, &fd, -EBADF);
}

/* Returns our connection, or a new one. The program may have closed ours, or have forked since. */
static int back_get(void) {
        int fd = atomic_load(&back.fd);

        return back_is_ours(fd) ? fd : back_connect();
}

/*
 * Reads one byte of the broker: that it is ready, whether we are drained, or an answer. Nothing follows from answers: a
 * client that the broker refuses is closed there, between two requests. Returns as recv(2) does.
 */
static ssize_t back_receive(int fd) {
        uint8_t byte;
        ssize_t n = io_real.recv(fd, &byte, sizeof(byte), MSG_DONTWAIT);

        if (n <= 0)
                return n;

        atomic_store(&back.is_ready, true);
        if (byte == FDPASS_TELL_DRAINED || byte == FDPASS_TELL_UNDRAINED)
                atomic_store(&back.is_drained, byte == FDPASS_TELL_DRAINED);
        return n;
}

/* Waits until the broker takes clients on our connection. Until then a descriptor may be refused (EPERM). */
static bool back_await(int to) {
        struct pollfd p = { .fd = to, .events = POLLIN };

        /* Another thread may take the word first. */
        while (!atomic_load(&back.is_ready)) {
                ssize_t n;

                if (poll(&p, 1, READY_MS) <= 0)
                        break;
                n = back_receive(to);
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        return false;
        }

        return atomic_load(&back.is_ready);
}

static void back_drop(int fd) {
        int expected = fd;

        if (!atomic_compare_exchange_strong(&back.fd, &expected, -EBADF))
                return;

        atomic_store(&back.is_drained, false);
        if (socket_cookie(fd) == atomic_load(&back.cookie))
                (void) close(fd);
}

/* True if the other end is gone. Reads what is there, because the end comes behind it. */
static bool back_is_dead(int fd) {
        ssize_t n;

        do
                n = back_receive(fd);
        while (n > 0);

        return n == 0 || errno != EAGAIN;
}

bool back_is_drained(void) {
        return atomic_load_explicit(&back.is_drained, memory_order_acquire) && atomic_load(&back.process) == forks_process();
}

int back_watched_fd(void) {
        int fd = atomic_load(&back.fd);

        return back_is_ours(fd) ? fd : -EBADF;
}

void back_look(void) {
        int fd = back_watched_fd();

        if (fd >= 0 && back_is_dead(fd))
                back_drop(fd);
}

/* Asks to be told of drains. A broker that does not know that takes the first byte. Another thread that does the same wins. */
static bool back_keep_new(int conn_fd, uint32_t generation) {
        static atomic_flag is_busy = ATOMIC_FLAG_INIT;
        const uint8_t answer[] = { FDPASS_ANSWER_RETURN, FDPASS_RETURN_TELL };

        if (atomic_flag_test_and_set(&is_busy))
                return false;

        (void) !io_real.send(conn_fd, answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) back_adopt(conn_fd, /* is_ready= */ false, generation);
        atomic_flag_clear(&is_busy);
        return true;
}

bool back_is_there(uint32_t generation) {
        int fd = atomic_load(&back.fd);

        if (fd >= 0 && atomic_load(&back.generation) == generation)
                return true;
        if (!back_is_ours(fd) || back_is_dead(fd))
                return false;

        atomic_store(&back.generation, generation);
        return true;
}

bool back_keep(int conn_fd, uint32_t generation) {
        int fd = atomic_load(&back.fd);

        if (back_is_there(generation))
                return false;

        if (fd >= 0)
                back_drop(fd);
        return back_keep_new(conn_fd, generation);
}

static void back_read_answers(int to) {
        if (atomic_fetch_add(&back.n_sent, 1) % ANSWERS_MAX != ANSWERS_MAX - 1)
                return;

        while (back_receive(to) > 0)
                ;
}

/* Writes the header with NEXT at its end, whose value follows. Returns the length; 0: it does not fit. */
static size_t back_add_next(const uint8_t *header, size_t n, Slice next, uint8_t ret[static BACK_HEADER_MAX + TLV_HEAD]) {
        size_t length = n + TLV_HEAD + next.n - PREFIX_SIZE;

        if (next.n == 0 || next.n > FDPASS_NEXT_MAX || n > BACK_HEADER_MAX)
                return 0;

        memcpy(ret, header, n);
        ret[14] = (uint8_t) (length >> 8);
        ret[15] = (uint8_t) length;
        ret[n] = FDPASS_TLV_NEXT;
        ret[n + 1] = (uint8_t) (next.n >> 8);
        ret[n + 2] = (uint8_t) next.n;
        return n + TLV_HEAD;
}

static int back_send_to(int to, int fd, const uint8_t *header, size_t n, Slice next) {
        union {
                struct cmsghdr header; /* for its alignment */
                char buffer[CMSG_SPACE(sizeof(int))];
        } control = {};
        uint8_t longer[BACK_HEADER_MAX + TLV_HEAD];
        size_t n_longer = back_add_next(header, n, next, longer);
        struct iovec iov[] = {
                { .iov_base = n_longer > 0 ? longer : (void *) (uintptr_t) header, .iov_len = n_longer > 0 ? n_longer : n },
                { .iov_base = (void *) (uintptr_t) next.p, .iov_len = next.n },
        };
        struct msghdr message = {
                .msg_iov = iov,
                .msg_iovlen = n_longer > 0 ? 2 : 1,
                .msg_control = control.buffer,
                .msg_controllen = sizeof(control.buffer),
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));

        return io_real.sendmsg(to, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int back_send(int fd, const uint8_t *header, size_t n, Slice next) {
        int r = -EPIPE;

        for (int i = 0; i < TRIES; i++) {
                int to = back_get();

                if (to < 0)
                        return to;

                if (back_await(to)) {
                        back_read_answers(to);
                        r = back_send_to(to, fd, header, n, next);
                } else
                        r = -EPIPE;
                if (r != -EPIPE && r != -ECONNRESET && r != -ENOTCONN)
                        return r;
                back_drop(to);
        }

        return r;
}

/* A broker that does not read once is not waited for again, because many clients may have to go. */
bool back_await_room(void) {
        static atomic_bool is_stuck;
        struct pollfd p = { .fd = back_get(), .events = POLLOUT };

        if (p.fd < 0 || atomic_load(&is_stuck))
                return false;
        if (poll(&p, 1, READY_MS) > 0)
                return true;

        atomic_store(&is_stuck, true);
        return false;
}

/* Returns the group of the return socket if this process has it by SupplementaryGroups=, or 0. Keeps errno. */
static gid_t back_group(void) {
        int saved_errno = errno, n = 0;
        gid_t groups[GROUPS_MAX], found = 0;
        struct stat st;

        if (back.is_wanted && stat(back.path, &st) >= 0)
                n = getgroups(GROUPS_MAX, groups);
        for (int i = 0; i < n && found == 0; i++)
                if (groups[i] == st.st_gid)
                        found = st.st_gid;

        errno = saved_errno;
        return found;
}

static void back_add_group(gid_t group) {
        gid_t groups[GROUPS_MAX];
        int n = getgroups(GROUPS_MAX - 1, groups);

        if (group == 0 || n < 0)
                return;

        groups[n] = group;
        (void) io_real.setgroups((size_t) n + 1, groups);
}

/*
 * A server that gives up its privileges sets other groups. The unit's SupplementaryGroups=fdpass says that the service may
 * hand back, so the group stays.
 */
int back_initgroups(const char *user, gid_t group) {
        gid_t kept;
        int r;

        preload_init();
        kept = back_group();
        r = io_real.initgroups(user, group);
        if (r == 0)
                back_add_group(kept);
        return r;
}

int back_setgroups(size_t n, const gid_t *groups) {
        gid_t kept;
        int r;

        preload_init();
        kept = back_group();
        r = io_real.setgroups(n, groups);
        if (r == 0)
                back_add_group(kept);
        return r;
}
