/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The certificates and options of a stage, without an event loop. */

#include "basic/fd.h"
#include "workers/tls/renewal.h"
#include "workers/tls/stage.h"

/* Writes the report. It stays as it was if that is not possible, and the stage goes on. */
static void stage_write_status(TlsStage *s) {
        int r = certificate_report_end(&s->report);

        if (!s->status_path)
                return;

        if (r >= 0)
                r = certificate_report_write(&s->report, s->status_path);
        if (r < 0) {
                log_line(s->service.log, LOG_WARNING, "%s can't be written: %s. fdpassctl does not know the certificates.",
                         s->status_path, strerror(-r));
                return;
        }

        fd_close(s->status_fd);
        s->status_fd = r;
}

static void stage_log_certificates(const TlsStage *s) {
        const CertificateSet *set = &s->set;

        if (!s->report.log)
                return;

        if (!set->preset)
                log_line(s->report.log, LOG_ERR, "There is no certificate, so all clients are refused. Put NAME.crt "
                         "and NAME.key into /etc/fdpass/tls, and reload the service.");
        else
                log_line(s->report.log, LOG_INFO, "Certificates: %zu, with %zu names. \"%s\" is for all other names.",
                         set->n_items, set->n_names, set->preset->pair);
}

int stage_load(TlsStage *s, const CertificateFiles *files) {
        CertificateSet set;
        int r;

        r = certificate_set_load(&set, files, &s->set, &s->report);
        if (r < 0)
                return r;

        certificate_set_done(&s->set);
        s->set = set;
        stage_write_status(s);
        stage_log_certificates(s);
        return 0;
}

static int stage_prepare_tickets(TlsStage *s) {
        int r;

        r = ticket_seed(&s->tickets, s->seed_path);
        if (r == -ENOTRECOVERABLE)
                return r;
        if (r < 0)
                log_line(s->service.log, LOG_WARNING, "%s can't be used: %s. Sessions are not resumed after a restart.",
                         s->seed_path, strerror(-r));
        return 0;
}

static int stage_prepare_policy(TlsStage *s) {
        CertificateFiles files = {};
        const char *why;
        int r;

        s->report.log = s->service.log;
        r = certificate_report_begin(&s->report);
        if (r >= 0)
                r = certificate_files_read(&files, s->certificates, s->credential, &s->report);
        if (r < 0) {
                log_line(s->service.log, LOG_ERR, "The directory of certificates, %s, can't be read: %s.",
                         s->certificates, strerror(-r));
                return r;
        }

        r = stage_load(s, &files);
        certificate_files_done(&files);
        if (r < 0)
                return r;

        r = stage_prepare_tickets(s);
        if (r < 0)
                return r;

        s->ctx = policy_new(&s->policy, &s->set, &s->tickets, &why);
        if (s->ctx)
                return 0;

        log_line(s->service.log, LOG_ERR, "TLS can't be set up: %s.", why);
        return -EINVAL;
}

int stage_prepare(TlsStage *s) {
        int r = stage_prepare_policy(s);

        if (r < 0 || !s->renewal_path)
                return r;

        r = renewal_listen(s->renewal_path);
        if (r < 0) {
                log_line(s->service.log, LOG_ERR, "%s can't be opened: %s.", s->renewal_path, strerror(-r));
                return r;
        }

        s->renewal_fd = r;
        return 0;
}
