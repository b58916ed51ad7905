# SPDX-License-Identifier: LGPL-2.1-or-later
"""HTTPS with the records of TLS left to the kernel, in the guests of qemu.py."""

from fdpass import case, check, kernel


@kernel
@case
def ktls_kernel(m):
    """The kernel is the guest's own, and has TLS."""
    m.figure("kernel", m.output("uname -r"))
    m.run("modprobe tls")
    check("tls" in m.output("cat /proc/sys/net/ipv4/tcp_available_ulp"), "no TLS")
