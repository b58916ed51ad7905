/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fdpassctl/add-comments.h"

#include "basic/macro.h"

/* The first prefix that fits counts. A comment has one line. */
static const struct {
        const char *prefix, *comment;
} add_comments[] = {
        { "StartLimitIntervalSec=0",
          "Without this line systemd gives up after five starts in 10 s, and closes the socket too." },
        { "TriggerLimitIntervalSec=0",
          "Without this line systemd closes the socket when it starts the service too often." },
        { "Requires=", "The service takes its clients from this socket." },
        { "ListenStream=", "The broker passes each client to the service here, with one byte." },
        { "ListenSequentialPacket=",
          "The broker passes each client to the service here, with what it knows of the client." },
        { "SocketUser=", "Only the broker may connect, which runs as this user." },
        { "Accept=yes", "systemd starts one service for each client." },
        { "Service=", "This service takes the clients." },
        { "Protocol=http\n", "HTTP/1.1, also from a TLS stage. Other clients go to other routes." },
        { "Receipt=ack", "The broker keeps each client until the service says that it has it." },
        { "HandsBack=no", "The service keeps a client for all requests of its connection." },
        { "LintSandbox=no", "The service needs more than `fdpassctl verify` advises, so it need not say so." },
        { "WantedBy=fdpass.target", "\"systemctl enable\" makes this unit a route of the broker." },
        { "ExecStart=", "Starts when the first client comes." },
        { "Type=notify", "The program tells systemd when it is ready." },
        { "Restart=on-failure", "Starts again after a crash. Clients wait in the socket meanwhile." },
        { "RestartPreventExitStatus=", "Exit status for a configuration that can't work." },
        { "KillMode=mixed", "A stop lets programs that serve a client end by themselves, up to TimeoutStopSec=." },
        { "WatchdogSec=", "systemd restarts the program if it does not answer for so long." },
        { "Environment=FDPASS_LISTEN=", "When the server listens on this port, it gets the broker's clients instead." },
        { "Environment=LD_PRELOAD=",
          "Makes a server that knows nothing of fdpass take its clients: fdpass-preload(8)." },
        { "Environment=PYTHONPATH=", "The module fdpass for Python." },
        { "SupplementaryGroups=fdpass", "May hand clients back to the broker." },
        { "DynamicUser=yes",
          "A user that exists while the service runs. It reads only files that every user may read." },
        { "PrivateNetwork=yes", "The service has no network. Its clients come as open connections." },
        { "RestrictAddressFamilies=", "Kinds of sockets that the service may make." },
        { "IPAddressDeny=any", "Hosts that the service may talk to by sockets of its own." },
        { "SocketBindDeny=any", "It may listen on no port." },
        { "CapabilityBoundingSet=\n", "No privileges of root." },
        { "PrivateUsers=yes", "Other users do not exist for the service." },
        { "MemoryDenyWriteExecute=yes",
          "No code is made at run time. Programs that compile while they run need \"no\"." },
        { "SystemCallFilter=@system-service", "System calls of ordinary services, and no others." },
        { "ProtectSystem=strict",
          "All files are read-only. StateDirectory= gives the service a directory to write to." },
        { "ProtectHome=", "Whether the service sees /home and /root." },
        { "PrivateTmp=yes", "A /tmp of its own." },
        { "PrivateDevices=yes", "No devices but /dev/null and the like." },
        { "LimitNOFILE=", "Number of open files and sockets." },
};

/* A prefix that ends with a line feed has to be the whole line. */
static bool add_comment_fits(const char *line, const char *prefix) {
        size_t n = strcspn(prefix, "\n");

        return strncmp(line, prefix, n) == 0 && (!prefix[n] || !line[n] || line[n] == '\n');
}

const char *add_comment(const char *line) {
        for (size_t i = 0; i < ELEMENTSOF(add_comments); i++)
                if (add_comment_fits(line, add_comments[i].prefix))
                        return add_comments[i].comment;

        return NULL;
}
