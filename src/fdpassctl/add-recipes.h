/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The examples that fdpassctl add makes units of. */

#include "fdpassctl/add-types.h"

/* A file that is made of an example. */
typedef struct AddRecipeFile {
        const char *example; /* name in add_examples */
        const char *to;      /* path below ADD_DIRECTORY; "*" stands for NAME */
        bool keeps_head;     /* the comments in front of the first section stay */
} AddRecipeFile;

struct AddRecipe {
        const char *server;  /* --server=; NULL: no server of the distribution */
        const char *stem;    /* name of the example's units, which becomes NAME */
        const char *unit;    /* the server's own unit, which gets drop-ins; NULL: NAME.service is written */
        const char *key;     /* match key of the example that stays unless --listener= or the same key is given */
        bool is_strict;      /* `fdpassctl verify` has nothing to say about its sandbox */
        AddRecipeFile files[6];
};

/* Chooses what serves. Returns NULL after a message. */
const AddRecipe *add_recipe_find(const AddPlan *plan);

/* Returns the text of an example. There has to be one. */
const char *add_example_text(const char *name);
