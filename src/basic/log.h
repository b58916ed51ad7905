/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log. It goes to systemd's journal by its native protocol if stderr is connected to the journal, and to stderr as
 * plain text otherwise.
 *
 * Writing never waits. sd_journal_send(3) waits while the queue of journald is full (about 300 messages), and all
 * clients would wait with it. So a record that can't be sent at once is dropped and counted. The next record that gets
 * through is preceded by a line with their number.
 *
 * A record is put together in a LogRecord on the stack:
 *
 *         LogRecord record;
 *
 *         log_begin(&record, log, LOG_WARNING);
 *         log_field(&record, "FDPASS_WORKER", "%s", path);
 *         log_commit(&record, "Worker %s is gone.", path);
 *
 * Control characters in a value become '?', so that bytes of a client can't forge a field or a line.
 */

#include <stddef.h>
#include <syslog.h>

#include "basic/macro.h"

typedef struct Log Log;

typedef struct LogRecord {
        Log *log;
        int priority;
        size_t n;          /* bytes used of buffer */
        char buffer[4096]; /* a field that does not fit is left out */
} LogRecord;

/* Opens a log. @identifier (SYSLOG_IDENTIFIER=) is borrowed. Returns NULL without memory. */
Log *log_new(const char *identifier);
Log *log_free(Log *log);
DEFINE_CLEANUP(Log *, log_free);

/* Drops records with a priority above @level of syslog(3) (LOG_DEBUG > LOG_INFO > …). The default is LOG_INFO. */
void log_set_level(Log *log, int level);

int log_level(const Log *log);

/* Names of the levels of syslog(3): "emerg" to "debug". -EINVAL if there is no level @name. */
const char *log_level_to_string(int level);
int log_level_from_string(const char *name);

/* Returns how many records were dropped since log_new(), because the journal did not take them. */
uint64_t log_n_dropped(const Log *log);

/* Begins a record with a priority of syslog(3). */
void log_begin(LogRecord *record, Log *log, int priority);

/* Adds MESSAGE_ID=, one of message-ids.h. */
void log_id(LogRecord *record, const char *id);
void log_field(LogRecord *record, const char *name, const char *format, ...) _printf_(3, 4);

/* Writes the record with this message, which is cut after 1023 bytes. */
void log_commit(LogRecord *record, const char *format, ...) _printf_(2, 3);

/* Does the same. Returns false, and counts no dropped record, if the journal does not take it now. */
bool log_try_commit(LogRecord *record, const char *format, ...) _printf_(2, 3);

/* Write a record without fields; log_line_id() adds MESSAGE_ID=. */
void log_line(Log *log, int priority, const char *format, ...) _printf_(3, 4);
void log_line_id(Log *log, int priority, const char *id, const char *format, ...) _printf_(4, 5);
