/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes new files of units, all of them or none. */

#include "fdpassctl/add-lock.h"
#include "fdpassctl/add-types.h"

typedef struct AddWriter {
        int root_fd;              /* directory that stands for "/"; borrowed */
        int directory_fd;         /* ADD_DIRECTORY; -EBADF: not opened yet */
        StringList directories;   /* directories that were made for ADD_DIRECTORY, as paths below the root */
        StringList made;          /* what was made below ADD_DIRECTORY; directories end in "/" */
        AddLock lock;
} AddWriter;

#define ADD_WRITER_INIT(fd) { .root_fd = (fd), .directory_fd = -EBADF, .lock = ADD_LOCK_NULL }

/*
 * Opens ADD_DIRECTORY, which is made where a root directory does not have it, and locks @name until add_writer_undo() or
 * add_writer_done(). Returns 0, or a negative errno after a message, and then everything is as before.
 */
int add_writer_open(AddWriter *w, const char *name);

/*
 * Writes the files. None of them may exist. Opens ADD_DIRECTORY without a lock if it is not open. Returns 0, or a negative errno after a message, and then everything is as
 * before.
 */
int add_writer_write(AddWriter *w, const AddFiles *files);

/* Removes what add_writer_write() has made, in the reverse order. */
void add_writer_undo(AddWriter *w);

void add_writer_done(AddWriter *w);
