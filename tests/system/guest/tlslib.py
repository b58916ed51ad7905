# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of TLS by libssl itself, with what Python's own does not let out: any bytes as the name (SNI), a certificate and
a session for each connection."""

import ctypes
import socket
import struct

LIBRARY = ctypes.CDLL("libssl.so.3")
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
SET_NAME, SET_VERSION_MIN, SET_VERSION_MAX = 55, 123, 124  # openssl/ssl.h
PEM = 1
ERROR_SSL, ERROR_ZERO_RETURN = 1, 6


def function(name, result, *arguments):
    found = getattr(LIBRARY, name)
    found.restype, found.argtypes = result, arguments
    return found


POINTER, TEXT, INT, LONG = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_long
TLS_client_method = function("TLS_client_method", POINTER)
SSL_CTX_new = function("SSL_CTX_new", POINTER, POINTER)
SSL_CTX_ctrl = function("SSL_CTX_ctrl", LONG, POINTER, INT, LONG, POINTER)
SSL_new = function("SSL_new", POINTER, POINTER)
SSL_free = function("SSL_free", None, POINTER)
SSL_ctrl = function("SSL_ctrl", LONG, POINTER, INT, LONG, TEXT)
SSL_set_fd = function("SSL_set_fd", INT, POINTER, INT)
SSL_set_alpn_protos = function("SSL_set_alpn_protos", INT, POINTER, TEXT, ctypes.c_uint)
SSL_use_certificate_file = function("SSL_use_certificate_file", INT, POINTER, TEXT, INT)
SSL_use_PrivateKey_file = function("SSL_use_PrivateKey_file", INT, POINTER, TEXT, INT)
SSL_set_session = function("SSL_set_session", INT, POINTER, POINTER)
SSL_get1_session = function("SSL_get1_session", POINTER, POINTER)
SSL_session_reused = function("SSL_session_reused", INT, POINTER)
SSL_connect = function("SSL_connect", INT, POINTER)
SSL_read = function("SSL_read", INT, POINTER, POINTER, INT)
SSL_write = function("SSL_write", INT, POINTER, TEXT, INT)
SSL_shutdown = function("SSL_shutdown", INT, POINTER)
SSL_key_update = function("SSL_key_update", INT, POINTER, INT)
SSL_renegotiate = function("SSL_renegotiate", INT, POINTER)
SSL_do_handshake = function("SSL_do_handshake", INT, POINTER)
SSL_get_error = function("SSL_get_error", INT, POINTER, INT)
ERR_get_error = function("ERR_get_error", ctypes.c_ulong)
ERR_clear_error = function("ERR_clear_error", None)
ERR_error_string_n = function("ERR_error_string_n", None, ctypes.c_ulong, TEXT, ctypes.c_size_t)


class Alert(Exception):
    """The server ended it by an alert of TLS."""


class Tls:
    """A connection. Certificates are paths without ".crt" and ".key"."""
    contexts = {}

    def __init__(self, version="1.3", name=None, certificate=None, session=None, alpn=None, address=("127.0.0.1", 443)):
        self.socket = socket.create_connection(address, timeout=20)
        self.socket.setblocking(True)  # the timeout is the kernel's, because libssl reads
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 20, 0))
        self.ssl = SSL_new(self.context(version))
        if name:
            SSL_ctrl(self.ssl, SET_NAME, 0, name.encode())
        if certificate:
            assert SSL_use_certificate_file(self.ssl, f"{certificate}.crt".encode(), PEM) == 1
            assert SSL_use_PrivateKey_file(self.ssl, f"{certificate}.key".encode(), PEM) == 1
        if session:
            assert SSL_set_session(self.ssl, session) == 1
        if alpn:
            SSL_set_alpn_protos(self.ssl, alpn, len(alpn))
        SSL_set_fd(self.ssl, self.socket.fileno())

    @classmethod
    def context(cls, version):
        if version not in cls.contexts:
            cls.contexts[version] = SSL_CTX_new(TLS_client_method())
            for which in SET_VERSION_MIN, SET_VERSION_MAX:
                SSL_CTX_ctrl(cls.contexts[version], which, VERSIONS[version], None)
        return cls.contexts[version]

    def check(self, result):
        """The result of a call of libssl, where it is no error."""
        if result > 0:
            return result
        why = SSL_get_error(self.ssl, result)
        if why == ERROR_ZERO_RETURN:
            return 0
        text = ctypes.create_string_buffer(256)
        ERR_error_string_n(ERR_get_error(), text, len(text))
        ERR_clear_error()
        text = text.value.decode()
        if why == ERROR_SSL and "alert" in text:
            raise Alert(text)
        raise ConnectionError(f"{why}: {text}")

    def connect(self):
        self.check(SSL_connect(self.ssl))
        return self

    def send(self, data):
        return self.check(SSL_write(self.ssl, data, len(data)))

    def receive(self, size=65536):
        data = ctypes.create_string_buffer(size)
        n = self.check(SSL_read(self.ssl, data, size))
        return data.raw[:n]

    def session(self):
        """Of 1.3 it is there once something was received."""
        return SSL_get1_session(self.ssl)

    def is_resumed(self):
        return SSL_session_reused(self.ssl) == 1

    def close(self):
        if self.ssl:
            SSL_shutdown(self.ssl)  # otherwise the session can't be resumed
            SSL_free(self.ssl)
            self.socket.close()
            ERR_clear_error()
            self.ssl = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
