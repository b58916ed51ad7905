/* SPDX-License-Identifier: MIT-0 */

/* Words to the administrator: a line on stderr, which is the journal. */

#include "workers/preload/preload.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

static struct stat stderr_at_start;
static bool is_journal;
static atomic_bool said[_SAYINGS];

/* JOURNAL_STREAM names the device and inode of the journal's socket, see systemd.exec(5). */
void say_init(void) {
        const char *journal = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;

        if (fstat(STDERR_FILENO, &stderr_at_start) < 0)
                stderr_at_start = (struct stat){};

        is_journal = journal && sscanf(journal, "%llu:%llu", &device, &inode) == 2 &&
                     device == stderr_at_start.st_dev && inode == stderr_at_start.st_ino;
}

/* A server may have closed it since, and have a client under its number. */
static bool stderr_is_ours(void) {
        struct stat st;

        return fstat(STDERR_FILENO, &st) >= 0 &&
               (S_ISREG(st.st_mode) || (st.st_dev == stderr_at_start.st_dev && st.st_ino == stderr_at_start.st_ino));
}

__attribute__((format(printf, 2, 0))) static void say_line(char level, const char *format, va_list arguments) {
        char line[1024];
        int saved_errno = errno, n, m;

        n = is_journal ? snprintf(line, sizeof(line), "<%c>fdpass-preload: ", level)
                       : snprintf(line, sizeof(line), "fdpass-preload: ");
        m = vsnprintf(line + n, sizeof(line) - (size_t) n - 1, format, arguments);
        n = m < (int) sizeof(line) - n - 1 ? n + m : (int) sizeof(line) - 2;
        line[n++] = '\n';

        if (stderr_is_ours())
                (void) !write(STDERR_FILENO, line, (size_t) n);
        errno = saved_errno;
}

void say(Saying what, const char *format, ...) {
        va_list arguments;

        if (atomic_exchange(&said[what], true))
                return;

        va_start(arguments, format);
        say_line('4', format, arguments);
        va_end(arguments);
}

void give_up(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        say_line('3', format, arguments);
        va_end(arguments);

        /* Not exit(): the program's own handlers expect a program that has begun. */
        _exit(EX_CONFIG);
}
