/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-units.h"

#include <stdio.h>

#include "fdpassctl/add-comments.h"
#include "fdpassctl/add-marker.h"
#include "fdpassctl/add-program.h"
#include "fdpassctl/add-proxy.h"
#include "fdpassctl/add-recipes.h"
#include "fdpassctl/add-rewrite.h"

void add_plan_done(AddPlan *plan) {
        strlist_clear(&plan->keys);
        strlist_clear(&plan->proxy);
        free(plan->program_path);
}

void add_files_done(AddFiles *files) {
        for (size_t i = 0; i < files->n_items; i++) {
                free(files->items[i].path);
                free(files->items[i].text);
        }
        *files = (AddFiles){};
}

bool add_has_key(const AddPlan *plan, const char *key) {
        size_t n = strlen(key);

        for (size_t i = 0; i < plan->keys.n_items; i++)
                if (strncmp(plan->keys.items[i], key, n) == 0 && plan->keys.items[i][n] == '=')
                        return true;

        return false;
}

const char *add_unit_name(const AddPlan *plan, char ret[static 256]) {
        (void) snprintf(ret, 256, "%.*s.%s", ADD_NAME_MAX, plan->name, plan->has_target ? "target" : "socket");
        return ret;
}

char *add_units_line(const char *key, const char *value) {
        char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        if (!f)
                return NULL;

        fprintf(f, "%s=", key);
        for (const char *p = value; *p; p++)
                fputs(*p == '%' ? "%%" : (char[]){ *p, '\0' }, f);
        if (fclose(f) == 0)
                return text;

        free(text);
        return NULL;
}

/* A route without a match key takes HTTP, and one for a port or for raw bytes takes what comes. */
static bool add_units_wants_http(const AddPlan *plan) {
        static const char *const others[] = { "Protocol", "Prefix", "ALPN", "InternalName" };
        static const char *const of_http[] = { "Host", "Path", "Method", "Header", "HostMismatch", "Flusher", "TLS" };

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (add_has_key(plan, others[i]))
                        return false;
        for (size_t i = 0; i < ELEMENTSOF(of_http); i++)
                if (add_has_key(plan, of_http[i]))
                        return true;

        return !add_has_key(plan, "Listener") || (plan->recipe->key && streq(plan->recipe->key, "Protocol"));
}

/* Does the match key of the example stay? It is "Protocol" or "Prefix". */
static bool add_units_keeps_key(const AddPlan *plan) {
        const char *key = plan->recipe->key;

        if (!key || add_has_key(plan, key))
                return false;

        return streq(key, "Protocol") ? add_units_wants_http(plan) : !add_has_key(plan, "Listener");
}

/* Replaces the keys of the example by those of the command line. */
static void add_units_edit_keys(const AddPlan *plan, AddEdits *edits) {
        add_edit_drop(edits, "Host=");
        add_edit_drop(edits, "Path=");
        if (!add_units_keeps_key(plan) || streq(plan->recipe->key, "Protocol"))
                add_edit_drop(edits, "Prefix=");
        if (!add_units_keeps_key(plan) || streq(plan->recipe->key, "Prefix"))
                add_edit_drop(edits, "Protocol=");
        if (add_has_key(plan, "Receipt"))
                add_edit_drop(edits, "Receipt=");
        if (add_has_key(plan, "LintSandbox") || plan->recipe->is_strict)
                add_edit_drop(edits, "LintSandbox=");

        for (size_t i = 0; i < plan->keys.n_items; i++)
                add_edit(edits, ADD_EDIT_AFTER, "[X-FDPass]", "%s", plan->keys.items[i]);
        if (!plan->recipe->key && add_units_wants_http(plan))
                add_edit(edits, ADD_EDIT_AFTER, "[X-FDPass]", "Protocol=http");
}

static void add_units_edit_socket(const AddPlan *plan, AddEdits *edits) {
        add_edit(edits, ADD_EDIT_REPLACE, "Description=Clients for ", "Description=Clients for %s", plan->name);
        add_edit(edits, ADD_EDIT_REPLACE, "ListenStream=", "ListenStream=/run/fdpass/%s.sock", plan->name);
        add_edit(edits, ADD_EDIT_REPLACE, "ListenSequentialPacket=", "ListenSequentialPacket=/run/fdpass/%s.sock",
                 plan->name);
        if (plan->recipe->unit && !streq(plan->recipe->server, plan->name))
                add_edit(edits, ADD_EDIT_AFTER, "ListenSequentialPacket=", "Service=%s", plan->recipe->unit);
        add_units_edit_keys(plan, edits);
}

/* The worker listens already, so there is neither a socket nor a service. */
static void add_units_write_target(const AddPlan *plan, FILE *f) {
        fprintf(f,
                "[Unit]\nDescription=Clients for %s\n\n[X-FDPass]\n"
                "# %s\n",
                plan->name,
                plan->worker ? "The broker passes each client to the worker that listens there."
                             : "The broker answers these clients itself.");
        for (size_t i = 0; i < plan->keys.n_items; i++)
                fprintf(f, "%s\n", plan->keys.items[i]);
        if (add_units_wants_http(plan))
                fprintf(f, "# %s\nProtocol=http\n", add_comment("Protocol=http"));
        fprintf(f, "\n[Install]\n# %s\nWantedBy=fdpass.target\n", add_comment("WantedBy=fdpass.target"));
}

/* Writes a file of the recipe, with its marker line. Returns NULL without memory. */
static char *add_units_write(const AddPlan *plan, const AddRecipeFile *file, const AddEdits *edits) {
        const AddRewrite rewrite = {
                .edits = edits,
                .stem = plan->recipe->stem,
                .name = plan->name,
                .keeps_service = plan->recipe->unit,
                .keeps_head = file->keeps_head,
        };
        _cleanup_free_ char *text = NULL;
        size_t n;
        FILE *f = open_memstream(&text, &n);

        if (!f)
                return NULL;

        if (plan->has_target)
                add_units_write_target(plan, f);
        else
                add_rewrite(f, add_example_text(file->example), &rewrite);
        if (fclose(f) != 0)
                return NULL;

        return add_marker_prepend(plan->name, plan->was_enabled ? plan->recipe->unit : NULL, text);
}

/* Returns the path of a file, with NAME for "*". NULL without memory. */
static char *add_units_path(const AddPlan *plan, const char *to) {
        char *path;

        if (plan->has_target)
                to = "*.target";
        return asprintf(&path, "%s%s", to[0] == '*' ? plan->name : "", to + (to[0] == '*')) < 0 ? NULL : path;
}

static int add_units_edit(const AddPlan *plan, AddEdits *edits) {
        add_units_edit_socket(plan, edits);
        if (plan->proxy.n_items > 0)
                add_proxy_edit(plan, edits);
        else
                add_program_edit(plan, edits);
        if (plan->user)
                add_edit(edits, ADD_EDIT_REPLACE, "DynamicUser=yes", "User=%s", plan->user);
        if (plan->port)
                add_edit(edits, ADD_EDIT_REPLACE, "Environment=FDPASS_LISTEN=", "Environment=FDPASS_LISTEN=%s",
                         plan->port);

        return edits->error;
}

int add_units_make(const AddPlan *plan, AddFiles *ret) {
        _cleanup_(add_files_done) AddFiles files = {};
        _cleanup_edits_ AddEdits edits = {};
        int r = add_units_edit(plan, &edits);

        if (r < 0)
                return r;

        for (const AddRecipeFile *f = plan->recipe->files; f->example; f++) {
                AddFile *file = &files.items[files.n_items++];

                file->path = add_units_path(plan, f->to);
                file->text = add_units_write(plan, f, &edits);
                if (!file->path || !file->text)
                        return -ENOMEM;
        }

        *ret = files;
        files = (AddFiles){};
        return 0;
}
