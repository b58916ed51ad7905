/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config/unit-file.h"

#include "basic/array.h"

const char SECTION_FDPASS[] = "X-FDPass";
const char SECTION_INSTALL[] = "Install";
const char SECTION_SERVICE[] = "Service";
const char SECTION_SOCKET[] = "Socket";
const char SECTION_UNIT[] = "Unit";

int unit_file_new(const char *path, UnitFileState state, UnitFile **ret) {
        _cleanup_(unit_file_freep) UnitFile *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;

        f->state = state;
        f->path = strdup(path);
        if (!f->path)
                return -ENOMEM;

        *ret = TAKE_PTR(f);
        return 0;
}

UnitFile *unit_file_free(UnitFile *file) {
        if (!file)
                return NULL;

        for (size_t i = 0; i < file->n_findings; i++)
                free(file->findings[i].message);
        free(file->findings);
        free(file->assignments);
        free(file->text);
        free(file->path);
        free(file);
        return NULL;
}

int unit_file_add_finding(UnitFile *f, ConfigSeverity severity, unsigned line, const char *message) {
        UnitFileFinding *finding;

        if (severity == CONFIG_ERROR)
                f->is_broken = true;

        if (f->n_of[severity] == UNIT_FILE_FINDINGS_MAX)
                return 0;

        if (!ARRAY_GROW(f->findings, f->n_findings))
                return -ENOMEM;

        finding = &f->findings[f->n_findings];
        *finding = (UnitFileFinding){ .severity = severity, .line = line, .message = strdup(message) };
        if (!finding->message)
                return -ENOMEM;

        f->n_findings++;
        f->n_of[severity]++;
        return 0;
}
