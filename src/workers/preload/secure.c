/* SPDX-License-Identifier: MIT-0 */

#include "workers/preload/secure.h"

#include <sys/mman.h>

#include "handoff/ktls.h"
#include "workers/preload/io.h"

atomic_bool secure_is_used;
_Atomic(Secure *) secure_pages[SECURE_PAGES];

static Secure *secure_make_page(size_t i) {
        Secure *page, *other = NULL;

        page = mmap(NULL, SECURE_PAGE * sizeof(Secure), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
                return NULL;

        /* Another thread was faster. */
        if (!atomic_compare_exchange_strong(&secure_pages[i], &other, page)) {
                (void) munmap(page, SECURE_PAGE * sizeof(Secure));
                return other;
        }

        return page;
}

static Secure *secure_slot(int fd) {
        size_t i = (size_t) fd / SECURE_PAGE;
        Secure *page;

        if (fd < 0 || i >= SECURE_PAGES)
                return NULL;

        page = atomic_load_explicit(&secure_pages[i], memory_order_acquire);
        if (!page)
                page = secure_make_page(i);

        return page ? &page[(size_t) fd % SECURE_PAGE] : NULL;
}

/* The functions behind our wrappers. */
static KtlsCalls secure_calls(void) {
        return (KtlsCalls){ io_real.recvmsg, io_real.sendmsg, real.getsockopt };
}

static bool secure_ask(int fd) {
        int saved_errno = errno;
        KtlsCalls calls = secure_calls();
        bool is_on = ktls_is_on(fd, &calls);

        errno = saved_errno;
        return is_on;
}

void secure_begin(int fd, const ClientInfo *info) {
        Secure *s;

        secure_forget(fd);
        if (info->cookie != 0 && !(info->is_secure && secure_ask(fd)))
                return;

        s = secure_slot(fd);
        if (!s)
                return;

        s->is_maybe = info->cookie == 0;
        s->pid = s->is_maybe ? 0 : getpid();
        s->is_shared = s->is_told = false;
        s->process = forks_process();
        s->n_forks = forks_count();
        s->cookie = info->cookie;
        atomic_store_explicit(&secure_is_used, true, memory_order_release);
        atomic_store_explicit(&s->is_on, true, memory_order_release);
}

static void secure_end(Secure *s) {
        atomic_store_explicit(&s->is_on, false, memory_order_release);
}

void secure_forget(int fd) {
        Secure *s = secure_find(fd);

        if (s)
                secure_end(s);
}

void secure_note_shared(int fd) {
        Secure *s = secure_find(fd);

        if (s)
                s->is_shared = true;
}

bool secure_takes_no_control(int fd) {
        const Secure *s = secure_find(fd);

        return s && !s->is_maybe;
}

/* The socket answers the question that accept() did not ask. */
static void secure_learn(Secure *s, int fd) {
        if (!s->is_maybe)
                return;

        s->cookie = socket_cookie(fd);
        s->pid = getpid();
        s->is_maybe = false;
        if (s->cookie == 0 || !secure_ask(fd))
                secure_end(s);
}

bool secure_explain(int fd, unsigned n_reads, ssize_t *ret) {
        KtlsCalls calls = secure_calls();
        Secure *s = secure_find(fd);
        int r;

        if (!s)
                return false;

        secure_learn(s, fd);
        r = ktls_explain(fd, &calls);
        if (r == -EAGAIN)
                r = n_reads < SECURE_READS ? -EAGAIN : -EIO;

        *ret = r == 0 ? 0 : -1;
        errno = -r; /* nginx logs that of an end, too */
        return r == -EAGAIN;
}

ssize_t secure_explain_splice(int fd) {
        ssize_t n = -1;

        if (secure_explain(fd, SECURE_READS, &n) || n == 0)
                return n;

        /* It was not about TLS, or data came meanwhile. */
        if (errno == EIO)
                errno = EINVAL;
        return -1;
}

/* True if @fd still is the client, and the kernel does its TLS. */
static bool secure_is_true(Secure *s, int fd) {
        if (s->is_maybe)
                return false;
        if (socket_cookie(fd) == s->cookie)
                return true;

        secure_end(s);
        return false;
}

static void secure_say_goodbye(Secure *s, int fd) {
        KtlsCalls calls = secure_calls();

        if (s->is_told)
                return;

        s->is_told = true;
        (void) ktls_close_notify(fd, &calls);
}

void secure_before_shutdown(int fd) {
        int saved_errno = errno;
        Secure *s = secure_find(fd);

        if (s && secure_is_true(s, fd))
                secure_say_goodbye(s, fd);
        errno = saved_errno;
}

void secure_before_close(int fd) {
        int saved_errno = errno;
        Secure *s = secure_find(fd);

        /* The child of vfork(2) has the memory of its parent, which still has the client. */
        if (!s || (!s->is_maybe && s->pid != getpid()))
                return;

        if (!s->is_shared && s->process == forks_process() && s->n_forks == forks_count() && secure_is_true(s, fd))
                secure_say_goodbye(s, fd);
        secure_end(s);
        errno = saved_errno;
}
