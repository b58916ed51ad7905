/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log: systemd's journal by its native protocol where stderr is the journal, plain text on stderr
 * elsewhere.
 *
 * Writing never blocks. A journald that stands still would block sd_journal_send() after some 300
 * messages, and with it everybody who waits for us; here a message that does not go out at once is
 * dropped and counted, and the next one that gets through is preceded by a line with the number.
 *
 * A record is put together in a LogRecord on the stack:
 *
 *         LogRecord record;
 *
 *         log_begin(&record, log, LOG_WARNING);
 *         log_field(&record, "FDPASS_WORKER", "%s", path);
 *         log_commit(&record, "Worker %s is gone.", path);
 *
 * Control characters in a value become '?': what a client sent can't forge a field or a line.
 */

#include <stddef.h>
#include <syslog.h>

#include "basic/macro.h"

typedef struct Log Log;

typedef struct LogRecord {
        Log *log;
        int priority;
        size_t n;          /* bytes used of buffer */
        char buffer[4096]; /* what does not fit is left out, field by field */
} LogRecord;

/* @identifier (SYSLOG_IDENTIFIER=) must outlive the log. Returns NULL where memory is out. */
Log *log_new(const char *identifier);
Log *log_free(Log *log);
DEFINE_CLEANUP(Log *, log_free);

/* Records with a priority above @level (LOG_DEBUG > LOG_INFO > …) are not written. LOG_INFO by default. */
void log_set_level(Log *log, int level);

int log_level(const Log *log);

/* Names of the levels of syslog(3): "emerg" to "debug". -EINVAL if there is no level @name. */
const char *log_level_to_string(int level);
int log_level_from_string(const char *name);

/* How many records were dropped so far, since the log was opened. */
uint64_t log_n_dropped(const Log *log);

void log_begin(LogRecord *record, Log *log, int priority);
void log_id(LogRecord *record, const char *id); /* one of message-ids.h */
void log_field(LogRecord *record, const char *name, const char *format, ...) _printf_(3, 4);
void log_commit(LogRecord *record, const char *format, ...) _printf_(2, 3);

/* A line without fields, and one that is known by @id. */
void log_line(Log *log, int priority, const char *format, ...) _printf_(3, 4);
void log_line_id(Log *log, int priority, const char *id, const char *format, ...) _printf_(4, 5);
