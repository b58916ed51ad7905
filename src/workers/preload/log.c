/* SPDX-License-Identifier: MIT-0 */

/* Messages to the administrator: lines on stderr, which systemd connects with the journal. */

#include "workers/preload/preload.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>

static struct stat stderr_at_start;
static bool is_journal;
static atomic_bool is_logged[_TOPIC_MAX];

/* JOURNAL_STREAM has the device and inode of the journal's socket, see systemd.exec(5). */
void log_init(void) {
        const char *journal = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;

        if (fstat(STDERR_FILENO, &stderr_at_start) < 0)
                stderr_at_start = (struct stat){};

        is_journal = journal && sscanf(journal, "%llu:%llu", &device, &inode) == 2 &&
                     device == stderr_at_start.st_dev && inode == stderr_at_start.st_ino;
}

/* A server may have closed stderr since its start; a client may have its number then, and must not get our line. */
static bool log_may_write(void) {
        struct stat st;

        return fstat(STDERR_FILENO, &st) >= 0 &&
               (S_ISREG(st.st_mode) || (st.st_dev == stderr_at_start.st_dev && st.st_ino == stderr_at_start.st_ino));
}

/* @level is the digit of sd-daemon(3). */
__attribute__((format(printf, 2, 0))) static void log_write(char level, const char *format, va_list arguments) {
        char line[1024];
        int saved_errno = errno, n, m;

        n = is_journal ? snprintf(line, sizeof(line), "<%c>fdpass-preload: ", level)
                       : snprintf(line, sizeof(line), "fdpass-preload: ");
        m = vsnprintf(line + n, sizeof(line) - (size_t) n - 1, format, arguments);
        n = m < (int) sizeof(line) - n - 1 ? n + m : (int) sizeof(line) - 2;
        line[n++] = '\n';

        if (log_may_write())
                (void) !write(STDERR_FILENO, line, (size_t) n);
        errno = saved_errno;
}

void log_once(LogTopic topic, const char *format, ...) {
        va_list arguments;

        if (atomic_exchange(&is_logged[topic], true))
                return;

        va_start(arguments, format);
        log_write('4', format, arguments);
        va_end(arguments);
}

void log_fatal(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        log_write('3', format, arguments);
        va_end(arguments);

        /* Not exit(), because the program's own exit handlers expect that its main() has begun. */
        _exit(EX_CONFIG);
}
