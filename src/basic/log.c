/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/message-ids.h"
#include "basic/utf8.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct Log {
        const char *identifier;
        int level;
        int journal_fd;        /* connection to the journal; -EBADF: plain text goes to stderr */
        uint64_t n_dropped;    /* records that were dropped since log_new() */
        uint64_t n_unreported; /* those of @n_dropped that no line has reported yet */
};

/* $JOURNAL_STREAM has the device and inode of the stream to the journal (systemd.exec(5)). */
static bool log_is_on_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        uint64_t dev, ino;
        struct stat st;
        char end;

        return e && sscanf(e, "%" SCNu64 ":%" SCNu64 "%c", &dev, &ino, &end) == 2 &&
               fstat(STDERR_FILENO, &st) >= 0 && st.st_dev == dev && st.st_ino == ino;
}

Log *log_new(const char *identifier) {
        Log *log = calloc(1, sizeof(*log));

        if (!log)
                return NULL;

        *log = (Log){
                .identifier = identifier,
                .level = LOG_INFO,
                /* If the journal can't be reached, stderr is used. */
                .journal_fd = log_is_on_journal() ? fd_connect_unix(JOURNAL_SOCKET, SOCK_DGRAM) : -EBADF,
        };

        return log;
}

Log *log_free(Log *log) {
        if (!log)
                return NULL;

        fd_close(log->journal_fd);
        free(log);
        return NULL;
}

void log_set_level(Log *log, int level) {
        log->level = level;
}

int log_level(const Log *log) {
        return log->level;
}

static const char *const log_levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

const char *log_level_to_string(int level) {
        return log_levels[level];
}

int log_level_from_string(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(log_levels); i++)
                if (streq(log_levels[i], name))
                        return (int) i;

        return -EINVAL;
}

uint64_t log_n_dropped(const Log *log) {
        return log->n_dropped;
}

/* Bytes of a message. Fields leave this much of LogRecord.buffer free. */
#define MESSAGE_MAX 1024

/*
 * Appends NAME=value\n within the first @limit bytes of the buffer. A field that does not fit is left out. The value is
 * masked, because a line end would begin another field, and control characters could act on a terminal. Also,
 * journalctl(1) shows a value that is not UTF-8 as a blob.
 */
static void log_append_field(LogRecord *record, size_t limit, const char *name, const char *format, va_list ap)
                _printf_(4, 0);
static void log_append_field(LogRecord *record, size_t limit, const char *name, const char *format, va_list ap) {
        char *p = record->buffer + record->n;
        int head, value;
        size_t room;

        if (record->n >= limit)
                return;

        room = limit - record->n;

        head = snprintf(p, room, "%s=", name);
        if (head < 0 || (size_t) head >= room)
                return;

        value = vsnprintf(p + head, room - (size_t) head, format, ap);
        if (value < 0 || (size_t) head + (size_t) value >= room)
                return;

        utf8_mask(p + head);
        p[head + value] = '\n';
        record->n += (size_t) (head + value + 1);
}

void log_field(LogRecord *record, const char *name, const char *format, ...) {
        va_list ap;

        /* Plain text has no fields. */
        if (record->log->journal_fd < 0)
                return;

        va_start(ap, format);
        log_append_field(record, sizeof(record->buffer) - MESSAGE_MAX - sizeof("MESSAGE="), name, format, ap);
        va_end(ap);
}

void log_id(LogRecord *record, const char *id) {
        log_field(record, "MESSAGE_ID", "%s", id);
}

static void log_append_message(LogRecord *record, const char *format, ...) _printf_(2, 3);
static void log_append_message(LogRecord *record, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_append_field(record, sizeof(record->buffer), "MESSAGE", format, ap);
        va_end(ap);
}

void log_begin(LogRecord *record, Log *log, int priority) {
        record->log = log;
        record->priority = priority;
        record->n = 0;

        log_field(record, "PRIORITY", "%d", priority);
        log_field(record, "SYSLOG_IDENTIFIER", "%s", log->identifier);
}

/* Sends the record as a datagram. Returns false if that would have to wait, or failed. */
static bool log_send(const LogRecord *record) {
        return send(record->log->journal_fd, record->buffer, record->n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* After a restart of journald the connection leads to the old socket. Each record that fails tries a new one once. */
static bool log_reconnect_and_send(const LogRecord *record) {
        int fd = fd_connect_unix(JOURNAL_SOCKET, SOCK_DGRAM);

        if (fd < 0)
                return false;

        fd_close(record->log->journal_fd);
        record->log->journal_fd = fd;
        return log_send(record);
}

static bool log_write_record(const LogRecord *record) {
        if (log_send(record))
                return true;

        /* The queue of the journal is full, so the record is dropped. */
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
                return false;

        return log_reconnect_and_send(record);
}

/* Writes a line about dropped records, if there are any. Returns false if the line does not get through. */
static bool log_report_dropped(Log *log) {
        LogRecord record;

        if (log->n_unreported == 0)
                return true;

        log_begin(&record, log, LOG_WARNING);
        log_id(&record, MESSAGE_LOG_DROPPED);
        log_field(&record, "FDPASS_N_DROPPED", "%" PRIu64, log->n_unreported);
        log_append_message(&record, "%" PRIu64 " log messages were dropped, because the journal did not take them.",
                       log->n_unreported);
        if (!log_write_record(&record))
                return false;

        log->n_unreported = 0;
        return true;
}

/* One write(2) a line, otherwise lines of several processes could mix. */
static void log_write_text(const Log *log, const char *message) {
        char line[MESSAGE_MAX + 64];
        int n;

        n = snprintf(line, sizeof(line), "%s: %s\n", log->identifier, message);
        if (n > 0)
                (void) !write(STDERR_FILENO, line, MIN((size_t) n, sizeof(line) - 1));
}

/* Returns false if the journal does not take the record. Then it is not counted yet. */
static bool log_try_vcommit(LogRecord *record, const char *format, va_list ap) _printf_(2, 0);
static bool log_try_vcommit(LogRecord *record, const char *format, va_list ap) {
        Log *log = record->log;
        char message[MESSAGE_MAX];

        if (record->priority > log->level)
                return true;

        (void) vsnprintf(message, sizeof(message), format, ap);
        utf8_mask(message);

        if (log->journal_fd < 0) {
                log_write_text(log, message);
                return true;
        }

        log_append_message(record, "%s", message);
        return log_report_dropped(log) && log_write_record(record);
}

static void log_vcommit(LogRecord *record, const char *format, va_list ap) _printf_(2, 0);
static void log_vcommit(LogRecord *record, const char *format, va_list ap) {
        if (log_try_vcommit(record, format, ap))
                return;

        record->log->n_dropped++;
        record->log->n_unreported++;
}

bool log_try_commit(LogRecord *record, const char *format, ...) {
        va_list ap;
        bool done;

        va_start(ap, format);
        done = log_try_vcommit(record, format, ap);
        va_end(ap);
        return done;
}

void log_commit(LogRecord *record, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_vcommit(record, format, ap);
        va_end(ap);
}

void log_line(Log *log, int priority, const char *format, ...) {
        LogRecord record;
        va_list ap;

        log_begin(&record, log, priority);
        va_start(ap, format);
        log_vcommit(&record, format, ap);
        va_end(ap);
}

void log_line_id(Log *log, int priority, const char *id, const char *format, ...) {
        LogRecord record;
        va_list ap;

        log_begin(&record, log, priority);
        log_id(&record, id);
        va_start(ap, format);
        log_vcommit(&record, format, ap);
        va_end(ap);
}
