/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counts the system calls of a function in a child process, by ptrace(2). It counts what the kernel sees: also calls that
 * libc makes for others. Calls of the allocator do not count, because they depend on what was allocated before.
 */

#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define COUNTED_MAX 64

typedef struct CallCount {
        unsigned n;                   /* all calls between the marks */
        uint64_t calls[COUNTED_MAX];  /* their numbers, for the message of a failure */
} CallCount;

static inline bool call_is_of_allocator(uint64_t number) {
        return number == SYS_brk || number == SYS_mmap || number == SYS_munmap || number == SYS_mremap || number == SYS_madvise;
}

/* The mark of a child around the calls that count. No other code of the tests makes this call. */
static inline void call_mark(void) {
        (void) syscall(SYS_getpgid, 0);
}

static inline void call_count_add(CallCount *c, uint64_t number) {
        if (call_is_of_allocator(number))
                return;

        if (c->n < COUNTED_MAX)
                c->calls[c->n] = number;
        c->n++;
}

/* Follows the child to its end. Returns its status as of waitpid(2). */
static inline int call_count_follow(pid_t pid, CallCount *ret) {
        bool is_inside = false;
        int status;

        for (;;) {
                struct __ptrace_syscall_info info = {};

                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (!WIFSTOPPED(status))
                        return status;

                /* Without this option the stop of a system call looks like that of a signal (ptrace(2)). */
                assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, (long) PTRACE_O_TRACESYSGOOD | (long) PTRACE_O_EXITKILL), 0);
                assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
                if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getpgid)
                        is_inside = !is_inside;
                else if (info.op == PTRACE_SYSCALL_INFO_ENTRY && is_inside)
                        call_count_add(ret, info.entry.nr);

                assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        }
}

/*
 * Runs @f in a child. @f calls call_mark() before and after what counts, and returns false if something went wrong.
 * Skips the test where ptrace(2) is not permitted.
 */
static inline void count_calls(bool (*f)(void *), void *data, CallCount *ret) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
                        _exit(77);
                (void) raise(SIGSTOP);
                _exit(f(data) ? 0 : 1);
        }

        assert_true(pid > 0);
        *ret = (CallCount){};
        status = call_count_follow(pid, ret);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* Lets a traced process run to its next entry of the system call @until. Counts the others on the way. */
static inline void call_count_run(pid_t pid, uint64_t until, CallCount *ret) {
        for (;;) {
                struct __ptrace_syscall_info info = {};
                int status;

                assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSTOPPED(status));
                assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
                if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
                        continue;
                if (info.entry.nr == until)
                        return;

                call_count_add(ret, info.entry.nr);
        }
}

/* Stops a child where it enters the system call @at. Skips the test where ptrace(2) is not permitted. */
static inline void call_count_seize(pid_t pid, uint64_t at) {
        CallCount before = {};
        int status;

        if (ptrace(PTRACE_SEIZE, pid, NULL, (long) PTRACE_O_TRACESYSGOOD) < 0)
                skip();

        assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        call_count_run(pid, at, &before);
}

/* Fails, with the numbers of the calls (ausyscall(8) has their names), if there are more than @max. */
static inline void assert_calls(const CallCount *c, unsigned max, const char *what) {
        if (c->n > 0 && c->n <= max)
                return;

        print_error("%s: %u system calls, at most %u:", what, c->n, max);
        for (unsigned i = 0; i < c->n && i < COUNTED_MAX; i++)
                print_error(" %llu", (unsigned long long) c->calls[i]);
        print_error("\n");
        fail();
}
