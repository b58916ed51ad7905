/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The files of units/examples, which are the templates of fdpassctl add. embed-examples makes the table at build time.
 */

typedef struct AddExample {
        const char *name; /* path below units/examples, without ".in" */
        const char *text;
} AddExample;

/* All of them. The last one has no name. */
extern const AddExample add_examples[];
