/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/wait-holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/array.h"
#include "basic/fd.h"
#include "fdpassctl/text.h"
#include "fdpassctl/value.h"

int wait_holders_add(WaitHolders *h, uint32_t inode) {
        if (inode == 0) {
                h->n_unaccepted++;
                return 0;
        }

        if (!ARRAY_GROW(h->inodes, h->n))
                return -ENOMEM;

        h->inodes[h->n++] = inode;
        return 0;
}

void wait_holders_done(WaitHolders *h) {
        free(h->inodes);
        free(h->is_found);
}

static int wait_holders_compare(const void *x, const void *y) {
        uint32_t a = *(const uint32_t *) x, b = *(const uint32_t *) y;

        return a < b ? -1 : a > b;
}

static void wait_holders_closedir(DIR **d) {
        if (*d)
                closedir(*d);
}

/* Returns how many of the sockets the process has that no process before it had. The broker's helper has the same ones. */
static size_t wait_holders_count(WaitHolders *h, const char *pid) {
        char path[64], target[64];
        _cleanup_(wait_holders_closedir) DIR *d = NULL;
        size_t n = 0;

        (void) snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
        d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
                ssize_t k = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
                uint32_t inode, *found;

                target[MAX(k, 0)] = '\0';
                if (sscanf(target, "socket:[%" SCNu32 "]", &inode) != 1)
                        continue;

                found = bsearch(&inode, h->inodes, h->n, sizeof(inode), wait_holders_compare);
                if (!found || h->is_found[found - h->inodes])
                        continue;
                h->is_found[found - h->inodes] = true;
                n++;
        }

        return n;
}

/* Writes the unit of the process, or its name if it is in none. */
static void wait_holders_name(const char *pid, char *ret, size_t size) {
        char path[64], line[PATH_MAX];
        _cleanup_fclose_ FILE *f = NULL;

        (void) snprintf(path, sizeof(path), "/proc/%.20s/cgroup", pid);
        (void) snprintf(ret, size, "a process without a unit");
        f = fopen(path, "re");

        /* systemd has its units in the unified hierarchy, or in its own one beside those of version 1 (cgroups(7)). */
        while (f && fgets(line, sizeof(line), f)) {
                const char *name = strrchr(line, '/');

                line[strcspn(line, "\n")] = '\0';
                if (name && name[1] && (startswith(line, "0::") || strstr(line, ":name=systemd:")))
                        (void) snprintf(ret, size, "%s", name + 1);
        }
}

/* Adds @n sockets of the unit @name to the dictionary. */
static void wait_holders_sum(Value *units, const char *name, size_t n) {
        for (size_t i = 0; i < units->n_items; i++)
                if (streq(units->items[i].name, name)) {
                        units->items[i].u += n;
                        return;
                }

        Value *v = value_add(units, name, VALUE_UNSIGNED);
        if (v)
                v->u = n;
}

static void wait_holders_find(WaitHolders *h, Value *units) {
        _cleanup_(wait_holders_closedir) DIR *d = opendir("/proc");

        for (struct dirent *e; d && (e = readdir(d));) {
                char name[256];
                size_t n = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? wait_holders_count(h, e->d_name) : 0;

                if (n == 0)
                        continue;

                wait_holders_name(e->d_name, name, sizeof(name));
                wait_holders_sum(units, name, n);
        }
}

void wait_holders_print(WaitHolders *h, FILE *f) {
        _cleanup_value_ Value units = { .kind = VALUE_DICT };
        const char *separator = ": ";

        h->is_found = calloc(MAX(h->n, (size_t) 1), sizeof(*h->is_found));
        if (h->n > 0 && h->is_found) {
                qsort(h->inodes, h->n, sizeof(*h->inodes), wait_holders_compare);
                wait_holders_find(h, &units);
        }

        for (size_t i = 0; i < units.n_items; i++, separator = ", ") {
                fprintf(f, "%s%" PRIu64 " in ", separator, units.items[i].u);
                text_print(f, units.items[i].name);
        }
        if (h->n_unaccepted > 0)
                fprintf(f, "%s%zu not accepted yet", separator, h->n_unaccepted);
        fprintf(f, ".\n");
}
