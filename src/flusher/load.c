/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Loads flushers from shared objects. */

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "flusher/flusher.h"

#define NAME_MAX_LENGTH 64

bool flusher_name_is_valid(const char *name) {
        static const char others[] = "-_0123456789";
        size_t n = 0;

        for (const char *p = name; *p; p++, n++)
                if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') && !strchr(others, *p))
                        return false;

        return n > 0 && n <= NAME_MAX_LENGTH;
}

/* The structs of a version only grow at their ends, so a flusher needs the same version and at least our size. */
static int flusher_load_check(const struct fdpass_flusher *f, const char *name) {
        if (!f)
                return FLUSHER_FOREIGN;
        if (f->abi != FDPASS_FLUSHER_ABI || f->size < sizeof(*f))
                return FLUSHER_VERSION;

        return f->name && streq(f->name, name) && f->flush ? 0 : FLUSHER_FOREIGN;
}

int flusher_find(const char *directory, const char *name, char **ret_path) {
        _cleanup_free_ char *path = NULL;

        if (!flusher_name_is_valid(name))
                return FLUSHER_MISSING;
        if (asprintf(&path, "%s/%s.so", directory, name) < 0) {
                path = NULL; /* asprintf(3) leaves it undefined */
                return -ENOMEM;
        }
        if (access(path, F_OK) < 0)
                return FLUSHER_MISSING;

        if (ret_path)
                *ret_path = TAKE_PTR(path);
        return 0;
}

int flusher_load(const char *directory, const char *name, const struct fdpass_flusher **ret, void **ret_handle,
                 const char **ret_why) {
        _cleanup_free_ char *path = NULL;
        const struct fdpass_flusher *f;
        void *handle;
        int r;

        *ret_why = NULL;

        r = flusher_find(directory, name, &path);
        if (r != 0)
                return r;

        /* Resolve all symbols now, and hide those of the object from others. */
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle) {
                *ret_why = dlerror();
                return FLUSHER_UNUSABLE;
        }

        f = dlsym(handle, "fdpass_flusher");
        r = flusher_load_check(f, name);
        if (r != 0) {
                flusher_unload(handle);
                return r;
        }

        *ret = f;
        *ret_handle = handle;
        return 0;
}

void *flusher_unload(void *handle) {
        if (handle)
                (void) dlclose(handle);

        return NULL;
}
