/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* New certificates for a stage: from root, or from the supervisor. */

#include <sys/socket.h>

#include "basic/fd.h"
#include "handoff/handoff.h"
#include "workers/tls/renewal.h"
#include "workers/tls/stage.h"

void stage_complain_of_renewal(TlsStage *s, int error) {
        service_complain(&s->service, "New certificates were not read: %s. The old ones stay in use.", strerror(-error));
}

/* Uses new files, and tells their sender. Consumes both. */
static void stage_renewal_use(TlsStage *s, CertificateFiles *files, int conn_fd) {
        int r = certificate_report_begin(&s->report);

        if (r >= 0)
                r = stage_load(s, files);
        certificate_files_done(files);

        if (r >= 0)
                renewal_answer(conn_fd);
        else {
                fd_close(conn_fd);
                stage_complain_of_renewal(s, r);
        }
}

static int stage_on_renewal(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        TlsStage *s = userdata;
        CertificateFiles files;
        int conn_fd, r;

        r = renewal_receive(fd, &files, &conn_fd);
        if (r >= 0)
                stage_renewal_use(s, &files, conn_fd);
        else if (r != -EAGAIN)
                stage_complain_of_renewal(s, r);
        return 0;
}

static int stage_on_control(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        _cleanup_close_ int conn_fd = -EBADF;
        TlsStage *s = userdata;
        CertificateFiles files;
        uint8_t byte;
        size_t n;
        int r;

        r = handoff_receive_message(fd, MSG_DONTWAIT, &byte, sizeof(byte), &n, &conn_fd);
        if (r == HANDOFF_CLOSED) /* the supervisor has ended, and the stage gets SIGTERM for that */
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (r != 0 || conn_fd < 0)
                return 0;

        r = renewal_receive_files(conn_fd, &files);
        if (r >= 0)
                stage_renewal_use(s, &files, TAKE_FD(conn_fd));
        else
                stage_complain_of_renewal(s, r);
        return 0;
}

static int stage_on_beat(sd_event_source *source, uint64_t usec, void *userdata) {
        TlsStage *s = userdata;
        const StageBeat beat = { .n_busy = s->service.n_busy, .n_taken = s->service.n_taken };

        (void) send(s->control_fd, &beat, sizeof(beat), MSG_DONTWAIT | MSG_NOSIGNAL);
        (void) sd_event_source_set_time_relative(source, s->beat_usec);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

int stage_renewal_init(TlsStage *s) {
        sd_event *event = s->service.event;
        int r = 0;

        if (s->renewal_fd >= 0)
                r = sd_event_add_io(event, &s->renewal, s->renewal_fd, EPOLLIN, stage_on_renewal, s);
        if (r < 0 || s->control_fd < 0)
                return r;

        r = sd_event_add_io(event, &s->control, s->control_fd, EPOLLIN, stage_on_control, s);
        if (r >= 0 && s->beat_usec != USEC_INFINITY)
                r = sd_event_add_time_relative(event, &s->beat, CLOCK_MONOTONIC, s->beat_usec, 0, stage_on_beat, s);
        return r;
}

void stage_renewal_done(TlsStage *s) {
        sd_event_source_disable_unref(s->renewal);
        sd_event_source_disable_unref(s->control);
        sd_event_source_disable_unref(s->beat);
        fd_close(s->renewal_fd);
        fd_close(s->control_fd);
}
