# SPDX-License-Identifier: MIT-0
"""HTTP workers in Python that take their clients from fdpassd, the socket broker: see fdpass(7) and fdpass-protocol(7).

One file, which needs Python 3.10 and its standard library. It may be copied.

    import fdpass

    listener = fdpass.Listener()            # the socket that systemd passed
    while True:
        with listener.accept() as client:   # of this route: client.socket is the client's own connection
            serve_one_request(client.socket)
            while client.next():            # the next request, if it is for this route
                serve_one_request(client.socket)

The worker's socket unit says ListenSequentialPacket=. With ListenStream= a client comes without metadata: its attributes
are empty, and it goes back to the broker with each further request.

A client goes back on a connection to the broker on which an earlier one came. Where there is none, and with a name in
hand_back(), this process needs the right to connect to /run/fdpass/return.sock: in the service, SupplementaryGroups=fdpass. There is
none with ListenStream=, and after a restart of the broker until the next new client.

A client is taken from root, from the worker's own user, and from any user that the mode of the socket's file lets connect.
If every user may write to the file, it is taken from the owner of the file only. So the socket unit needs SocketUser=fdpass
and SocketMode=0600.
"""

import array
import collections
import contextlib
import errno
import ipaddress
import os
import re
import select
import socket
import stat
import struct
import threading

__all__ = ["Client", "Listener", "RETURN_PATH", "Tls"]

RETURN_PATH = "/run/fdpass/return.sock"

MESSAGE_MAX = 81920
HEAD_MAX = 16384  # bytes of a request's head that next() looks at
TRIES_MAX = 3     # connections to the return socket, if brokers stop

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = {0x00: 0, 0x11: 4, 0x21: 16}  # bytes of an address, by family

ALPN, AUTHORITY, CRC32C, UNIQUE_ID, SSL = 0x01, 0x02, 0x03, 0x05, 0x20
VERSION, ROUTE, LISTENER, DATA, DEADLINE, PROTOCOL, NAME, PERSISTENT, HOPS, RESPONSE = range(0xE0, 0xEA)
SCOPE, SEAL = 0xEB, 0xEC
SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_NAME = 0x21, 0x22, 0x23, 0xE0  # inside of SSL
# Facts that are not passed on when a client is handed back.
OF_ONE_HANDOFF = {CRC32C, VERSION, ROUTE, DATA, DEADLINE, NAME, PERSISTENT, HOPS, RESPONSE, SCOPE}

REFUSED, ERROR, RETURN = b"\x02", b"\x03", b"\x11"
READY_SEC = 0.1  # for the broker to take clients on a return connection

# The kernel's TLS (linux/tls.h), and what a client's close_notify is (RFC 8446 6.1). user_canceled comes before close_notify.
TCP_ULP, SOL_TLS, TLS_SET_RECORD_TYPE, TLS_GET_RECORD_TYPE = 31, 282, 1, 2
RECORD_ALERT, RECORD_DATA, CLOSE_NOTIFY, USER_CANCELED = 21, 23, 0, 90

# Stricter than the broker (RFC 9112): a request of which this is not sure goes back.
REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]{1,32}) (/[!\x22$-~]*) HTTP/1\.1\r\n")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)\r\n")
HOST = re.compile(rb"((?:[0-9a-z_-]+\.)*[0-9a-z_-]+)\.?|\[([0-9a-f:.]+)\]")
FRAMING = {b"host", b"content-length", b"transfer-encoding"}


class Listener:
    """The worker's socket. @fd: its number; None: the one socket that systemd passed (sd_listen_fds(3))."""

    def __init__(self, fd=None):
        if fd is None:
            if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
                raise RuntimeError("systemd has not passed one socket. Start the socket unit, not the program")
            fd = 3
        self.socket = socket.socket(fileno=fd)
        if self.socket.family != socket.AF_UNIX or self.socket.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
            raise RuntimeError("this is no socket of ListenStream= or ListenSequentialPacket= at a path")

    def fileno(self):
        return self.socket.fileno()

    def accept(self):
        """Returns the next Client. Waits for one, unless the socket does not block: BlockingIOError then. PermissionError: no
        client is taken from this sender, because of the mode of the socket's file.
        """
        while True:
            connection, _ = self.socket.accept()
            is_kept = False
            try:
                self._check_sender(connection)
                client = self._receive(connection)
                is_kept = client is not None and SEAL in client.tlvs and _back.keep(connection)
            finally:
                if not is_kept:  # its end tells the broker that the client is taken
                    connection.close()
            if client:
                return client

    def _check_sender(self, connection):
        """As in libfdpass(3), SECURITY. A user that is not mapped (PrivateUsers=) looks like 65534."""
        _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        is_known = uid not in (-1, 65534)
        if is_known and uid in (0, os.geteuid()):
            return
        path = self.socket.getsockname()
        with contextlib.suppress(OSError, TypeError, ValueError):
            found = os.stat(path) if isinstance(path, str) and path.startswith("/") else None
            if found and stat.S_ISSOCK(found.st_mode) and (not found.st_mode & stat.S_IWOTH or (is_known and uid == found.st_uid)):
                return
        raise PermissionError(f"user {uid} may not send clients. The socket unit needs SocketUser=fdpass and SocketMode=0600")

    def _receive(self, connection):
        """Returns None if the connection has ended without a client, or with one that the broker keeps."""
        connection.settimeout(1)
        try:
            message, control, flags, _ = connection.recvmsg(MESSAGE_MAX, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None
        fds = array.array("i")
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        if not fds:
            if message:  # the descriptor was lost: this process has no room for it
                _answer(connection, REFUSED)
            return None
        try:
            return Client(socket.socket(fileno=fds[0]), message, self.socket.type)
        except (OSError, ValueError):
            os.close(fds[0])
            _answer(connection, ERROR)
            return None


def _answer(connection, answer):
    with contextlib.suppress(OSError):
        connection.send(answer)


class _ReturnConnection:
    """One of this process, for all its threads: fdpass-protocol(7), HANDING BACK."""

    def __init__(self):
        self.connection, self.pid, self.is_ready, self.lock = None, 0, False, threading.Lock()

    def keep(self, connection):
        """Returns True if @connection, on which a client came, is the one from now on."""
        with self.lock:
            if self._is_alive():
                return False
            connection.setblocking(False)
            _answer(connection, RETURN)
            self.connection, self.pid, self.is_ready = connection, os.getpid(), False
            return True

    def _is_alive(self):
        """A process that was forked has no part in its parent's. Reads the broker's answers, of which nothing follows."""
        if self.connection is None or self.pid != os.getpid():
            return False
        with contextlib.suppress(BlockingIOError):
            while answer := self.connection.recv(1):
                self.is_ready = self.is_ready or answer == RETURN
            return False
        return True

    def send(self, message, fd):
        """Returns False if there is none. Raises OSError if the broker has no room."""
        with self.lock:
            with contextlib.suppress(ConnectionError):
                if self._is_alive() and self._await_ready():
                    _send_on(self.connection, message, fd)
                    return True
        return False

    def _await_ready(self):
        """Before the broker is ready, the kernel may refuse descriptors."""
        if not self.is_ready:
            self.is_ready = bool(select.select([self.connection], [], [], READY_SEC)[0]) and self.connection.recv(1) == RETURN
        return self.is_ready


_back = _ReturnConnection()


Tls = collections.namedtuple("Tls", "version cipher server_name client_name is_verified")
Tls.__doc__ = """A client's TLS, as a TLS stage or a trusted proxy ended it. A fact that was not told is None.

version      "TLSv1.2" or "TLSv1.3"
cipher       as OpenSSL names it
server_name  the name that the client asked the stage for (SNI); "" if it gave none
client_name  common name in the client's certificate
is_verified  True or False: the client has shown a certificate that is valid, or is not. None: it has shown none
"""


class Client:
    """A client, with what the broker knows of it. A fact that was not told is None.

    socket      its connection, which blocks. Bytes in @consumed come before those in it
    consumed    bytes that were read from the connection before
    route       unit of the route: "api.socket"
    listener    FileDescriptorName= of the public socket
    authority   Host of HTTP, or the server name of TLS: in lower case, without port
    protocol    "http", "tls", ...
    unique_id   bytes: the client's name, from its arrival to its end
    alpn        bytes: protocol of TLS
    tls         a Tls, if its TLS was ended before the worker
    data        bytes: from the worker that handed the client back
    deadline    us of CLOCK_MONOTONIC when the broker gives the client up
    peer, local  (address, port) of both ends, as a trusted proxy told. None for clients over AF_UNIX
    tlvs        {type: value} of all facts
    """

    def __init__(self, connection, message, kind=socket.SOCK_SEQPACKET):
        self._family, self._addresses, self.tlvs, self.consumed = 0, b"", {}, b""
        try:
            _check_client(connection)
            if message != b"\0":
                self._parse(message if kind == socket.SOCK_SEQPACKET else b"")
        except (IndexError, OSError, ValueError):
            connection.detach()
            raise ValueError("this is no client") from None
        self.socket = connection
        self._scope = _Scope(self.tlvs.get(SCOPE, b""))
        self.unique_id, self.alpn, self.data = map(self.tlvs.get, (UNIQUE_ID, ALPN, DATA))
        self.route, self.listener, self.authority, self.protocol = map(self._text, (ROUTE, LISTENER, AUTHORITY, PROTOCOL))
        deadline = self.tlvs.get(DEADLINE)
        self.deadline = deadline and int.from_bytes(deadline, "big")
        self.tls = _tls_of(self.tlvs.get(SSL, b""))
        self.peer, self.local = self._told_addresses() or (_address(connection.getpeername), _address(connection.getsockname))

    def _parse(self, message):
        end = 16 + int.from_bytes(message[14:16], "big")
        if message[:12] != SIGNATURE or message[12] != 0x21 or message[13] not in ADDRESSES or len(message) < end:
            raise ValueError
        self._family, at = message[13], 16
        n = ADDRESSES[self._family]
        if n:
            at += 2 * n + 4
        self._addresses = message[16:at]
        while at < end:
            n = int.from_bytes(message[at + 1:at + 3], "big")
            if at + 3 + n > end or message[at] in self.tlvs:
                raise ValueError
            self.tlvs[message[at]] = message[at + 3:at + 3 + n]
            at += 3 + n
        if at != end or self.tlvs.get(VERSION) != b"\x01":
            raise ValueError
        self.consumed = message[end:]

    def _text(self, kind):
        value = self.tlvs.get(kind)
        return value and value.decode("utf-8", "backslashreplace")

    def _told_addresses(self):
        n = ADDRESSES[self._family]
        ends = [self._addresses[i * n:(i + 1) * n] + self._addresses[2 * n + 2 * i:2 * n + 2 * i + 2] for i in (0, 1)]
        return [(str(ipaddress.ip_address(e[:n])), int.from_bytes(e[n:], "big")) for e in ends] if n else None

    def next(self, received=b"", path=RETURN_PATH):
        """Awaits the next request, and hands the client back if the request may be for another route.

        To be called when the last request was read in full, with its body, and the response was written in full.
        @received: what was read of the next request already, at most 65536 bytes.

        True: the request is this worker's, and what was not received is still in the socket. False: the client is not this
        worker's any more, because it is handed back or has ended, and its socket is closed. If the broker has no room for
        it, its connection ends: a client of HTTP expects that between two requests.

        Raises BlockingIOError or TimeoutError if there is no request yet, and the socket does not block or has a time-out.
        Raises another OSError if this process can't hand back. Then the socket is closed.
        """
        if RESPONSE in self.tlvs:  # a response that a flusher began ends with the connection
            self.close()
            return False
        is_drained = self._scope.is_drained
        try:
            head = b"" if is_drained else self._peek(received)
        except ConnectionError:
            head = b""
        if head and self._scope.covers(head):
            return True
        try:
            if head or is_drained:
                self.hand_back(consumed=received, path=path)
        except OSError as e:
            if e.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                raise
        finally:
            self.close()
        return False

    def _peek(self, received):
        room = HEAD_MAX - len(received)
        if not received or room <= 0:
            return received or self.recv(HEAD_MAX, socket.MSG_PEEK)
        timeout = self.socket.gettimeout()
        self.socket.setblocking(False)  # with a time-out, recv() would wait in spite of MSG_DONTWAIT
        try:
            return received + self.recv(room, socket.MSG_PEEK)
        except BlockingIOError:
            return received
        finally:
            self.socket.settimeout(timeout)

    def park(self, path=RETURN_PATH):
        """Hands the client back. The broker waits for its next request, and routes it."""
        self.hand_back(path=path)

    def hand_back(self, name=None, data=b"", consumed=b"", path=RETURN_PATH):
        """Hands the client back to the broker, and closes its socket.

        @name: InternalName= of the route that gets it, with @data for its worker; None: by its next request.
        @consumed: what this worker has read and the next one is to read, at most 65536 bytes.

        Raises OSError, and then the client is still the caller's: BlockingIOError if the broker's queue is full.
        """
        if self.socket.family == socket.AF_UNIX:
            raise OSError(errno.EPROTOTYPE, "the broker takes no clients over AF_UNIX back")
        facts = {VERSION: b"\x01"} | {k: v for k, v in self.tlvs.items() if k not in OF_ONE_HANDOFF}
        if name is not None:
            facts[NAME] = name.encode()
        if data:
            facts[DATA] = data
        if RESPONSE in self.tlvs:
            facts[RESPONSE] = self._response(consumed)
        block = self._addresses + b"".join(bytes([k]) + len(v).to_bytes(2, "big") + v for k, v in facts.items())
        header = SIGNATURE + bytes([0x21, self._family]) + len(block).to_bytes(2, "big") + block

        timeout = self.socket.gettimeout()
        self.socket.setblocking(True)  # the next worker has the same open file description
        try:
            is_own = name is None and SEAL in facts and path == RETURN_PATH
            if not (is_own and _back.send(header + consumed, self.socket.fileno())):
                _send(path, header + consumed, self.socket.fileno())
        except OSError:
            self.socket.settimeout(timeout)
            raise
        self.socket.close()

    def _response(self, consumed):
        """The head that was answered counts only if it comes back whole."""
        value = self.tlvs[RESPONSE]
        head = self.consumed[:int.from_bytes(value[2:], "big")]
        return value if consumed.startswith(head) else value[:2] + bytes(4)

    def recv(self, size, flags=0):
        """Reads as socket.recv() does, also from a client that came through TLS: the kernel may have its records (kTLS).

        There, socket.recv() and files of makefile() fail with EIO at the client's end. This returns b"". Raises
        ConnectionResetError if the client has given its connection up, and OSError with EPROTO if it wants a new handshake or
        new keys, which the kernel can't do.
        """
        while True:
            try:
                return self.socket.recv(size, flags)
            except OSError as e:
                if e.errno != errno.EIO or not _is_ktls(self.socket):
                    raise
            data, control, _, _ = self.socket.recvmsg(2, socket.CMSG_SPACE(1), socket.MSG_PEEK | socket.MSG_DONTWAIT)
            kind = next((v[0] for level, k, v in control if (level, k) == (SOL_TLS, TLS_GET_RECORD_TYPE)), RECORD_DATA)
            if not data or (kind == RECORD_ALERT and data[1:2] in (bytes([CLOSE_NOTIFY]), bytes([USER_CANCELED]))):
                return b""
            if kind == RECORD_ALERT:
                raise ConnectionResetError(errno.ECONNRESET, "the client has ended its TLS")
            if kind != RECORD_DATA:
                raise OSError(errno.EPROTO, "the client wants a new handshake or new keys")

    def shutdown(self):
        """Tells the client that no more data follow. One that came through TLS gets close_notify, too.

        That waits for room in the send buffer, as send() does. Raises BlockingIOError or TimeoutError if there is none in time: then
        nothing was done, and close() would lose the last 16 KB that send() has accepted.
        """
        if _is_ktls(self.socket):
            with contextlib.suppress(ConnectionError):
                self.socket.sendmsg([bytes([1, CLOSE_NOTIFY])], [(SOL_TLS, TLS_SET_RECORD_TYPE, bytes([RECORD_ALERT]))],
                                    socket.MSG_NOSIGNAL)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        """Ends the connection, also if another process has a copy of it. Does nothing to a client that was handed back."""
        if self.socket.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.shutdown()
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _check_client(connection):
    is_ours = connection.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) and connection.type == socket.SOCK_STREAM
    if not is_ours or connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ValueError


def _is_ktls(connection):
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 16).rstrip(b"\0") == b"tls"
    except OSError:
        return False


def _tls_of(value):
    """Reads the SSL TLV: bits, the result of the verification, and TLVs."""
    if len(value) < 5 or not value[0] & 1:
        return None
    tlvs, at = {}, 5
    while at + 3 <= len(value):
        n = int.from_bytes(value[at + 1:at + 3], "big")
        tlvs.setdefault(value[at], value[at + 3:at + 3 + n])
        at += 3 + n
    texts = [v if v is None else v.decode("utf-8", "backslashreplace") for v in map(tlvs.get, (SSL_VERSION, SSL_CIPHER, SSL_NAME, SSL_CN))]
    return Tls(*texts, not any(value[1:5]) if value[0] & 6 else None)


def _address(function):
    """The address of a socket of IP."""
    with contextlib.suppress(OSError):
        address = function()
        return tuple(address[:2]) if isinstance(address, tuple) else None
    return None


def _send_on(connection, message, fd):
    connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


def _send(path, message, fd):
    for i in range(TRIES_MAX):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.setblocking(False)
            connection.connect(path)
            try:
                _send_on(connection, message, fd)
                return
            except (BrokenPipeError, ConnectionResetError):  # this broker has stopped; the next one has the same socket
                if i == TRIES_MAX - 1:
                    raise


class _Scope:
    """Which next requests are the worker's own: fdpass-protocol(7), SCOPE."""

    def __init__(self, value):
        self.host, self.items = None, []
        self.is_drained = len(value) >= 5 and bool(value[0] & 2)  # the client goes back at once
        at, is_known = 5, len(value) >= 5 and value[0] == 0
        while at < len(value):
            kind, text = value[at:at + 1], value[at + 2:at + 2 + value[at + 1]] if at + 2 <= len(value) else b""
            at += 2 + len(text)
            if not text or len(text) != value[at - len(text) - 1] or kind not in b"hpx":
                is_known = False
                break
            if kind == b"h":
                is_known, self.host = is_known and self.host is None, text
            else:
                self.items.append((text, kind == b"p"))
        if not is_known:
            self.host = None

    def covers(self, head):
        """True if @head begins with the whole head of a request that is certainly the worker's."""
        line = REQUEST.match(head)
        if not self.host or not line or line[1] in (b"CONNECT", b"TRACE"):
            return False
        return _host_of(head, line.end()) == self.host and self._has(line[2].partition(b"?")[0])

    def _has(self, path):
        if b"//" in path or re.search(rb"[\\;%]", path) or re.search(rb"/\.\.?(/|$)", path):
            return False
        longest, is_own = 0, False
        for text, is_prefix in self.items:
            if len(text) >= longest and (path == text or path.startswith(text if text == b"/" else text + b"/")):
                is_own = is_prefix and (is_own or len(text) > longest)
                longest = len(text)
        return is_own


def _host_of(head, at):
    """Returns the host of a request whose fields begin at @at; None unless all of them are there and valid."""
    seen = {}
    while field := FIELD.match(head, at):
        name, at = field[1].lower(), field.end()
        if name in FRAMING and name in seen:
            return None
        seen[name] = field[2].strip(b" \t")
    if head[at:at + 2] != b"\r\n" or {b"content-length", b"transfer-encoding"} <= seen.keys():
        return None
    if not re.fullmatch(rb"[0-9]+", seen.get(b"content-length", b"0")):
        return None

    if len(seen.get(b"host", b"")) > 300:
        return None
    name, port = re.fullmatch(rb"(.*?)(?::([0-9]{1,5}))?", seen.get(b"host", b"").lower(), re.S).groups()
    host = HOST.fullmatch(name)
    if not host or not 0 < int(port or b"1") < 65536:
        return None
    if host[1]:
        return host[1]
    with contextlib.suppress(OSError):
        return b"[%s]" % socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, host[2].decode())).encode()
    return None
