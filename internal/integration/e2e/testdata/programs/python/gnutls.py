"""TLS by GnuTLS, for programs that otherwise use the module ssl. TLS_WAY says in which of the ways that there are:

blocking, nonblocking: on the descriptor; the latter reads and writes in pieces
cork: what is written goes out at once at the end
range, seq: by the functions that hide lengths, and that return record numbers
memory: what is encrypted is put into memory, and another thread sends it, several records at a time
within: by functions of this program, which may do something else first (within.py)
stutter: by functions that often do nothing, or a part of it only; the keys change twice
renegotiate: by TLS 1.2; the server begins another handshake before each response
half: the client has sent all that it will when it begins to receive
"""
import ctypes
import errno
import io
import os
import queue
import select
import ssl
import threading

lib = ctypes.CDLL("libgnutls.so.30")
lib.gnutls_record_recv.restype = lib.gnutls_record_recv_seq.restype = ctypes.c_ssize_t
lib.gnutls_record_send.restype = lib.gnutls_record_send_range.restype = ctypes.c_ssize_t
lib.gnutls_strerror.restype = ctypes.c_char_p
SERVER, CLIENT, NONBLOCK = 1, 2, 8
PEM, CERTIFICATE, WAIT, SHUT_WR, OF_PEER = 1, 1, 1, 1, 1
AGAIN, REHANDSHAKE, INTERRUPTED, ENDED = -28, -37, -52, -110
Transfer = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Wait = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint)
PRIORITIES = {"renegotiate": b"NORMAL:-VERS-ALL:+VERS-TLS1.2"}
CURVES = {"secp521r1": b":-GROUP-ALL:+GROUP-SECP521R1"}


class Range(ctypes.Structure):
    _fields_ = [("low", ctypes.c_size_t), ("high", ctypes.c_size_t)]


def check(result):
    if result < 0:
        raise OSError(f"GnuTLS: {lib.gnutls_strerror(result).decode()} ({result})")
    return result


class Context:
    verify_mode, check_hostname, post_handshake_auth = ssl.CERT_NONE, False, False

    def __init__(self, server):
        self.server = server
        self.credentials = ctypes.c_void_p()
        check(lib.gnutls_certificate_allocate_credentials(ctypes.byref(self.credentials)))
        if server:
            files = os.environ["TLS_CERTIFICATE"].encode(), os.environ["TLS_KEY"].encode()
            check(lib.gnutls_certificate_set_x509_key_file(self.credentials, *files, PEM))

    def wrap_socket(self, connection, server_side=False, do_handshake_on_connect=True, server_hostname=None):
        secured = Connection(self, connection)
        if do_handshake_on_connect:
            secured.establish()
        return secured


class Connection:
    def __init__(self, context, connection):
        self.context, self.socket = context, connection
        self.way = os.environ.get("TLS_WAY", "blocking")
        self.session = ctypes.c_void_p()
        flags = SERVER if context.server else CLIENT
        connection.setblocking(self.way != "nonblocking")
        check(lib.gnutls_init(ctypes.byref(self.session), flags | (NONBLOCK if self.way == "nonblocking" else 0)))
        priority = PRIORITIES.get(self.way, b"NORMAL")
        if context.server:  # of the curves of which a client has sent no key, it demands another hello
            priority += CURVES.get(os.environ.get("TLS_CURVE"), b"")
        check(lib.gnutls_priority_set_direct(self.session, priority, None))
        check(lib.gnutls_credentials_set(self.session, CERTIFICATE, context.credentials))
        lib.gnutls_transport_set_int2(self.session, connection.fileno(), connection.fileno())
        self.established = self.ended = self.asked = False
        self.before_push = self.before_pull = None
        self.pushes = self.pulls = self.sent = 0
        if self.way == "memory":
            self.records, self.callback = queue.Queue(), Transfer(self.put)
            lib.gnutls_transport_set_push_function(self.session, self.callback)
            self.sender = threading.Thread(target=self.send_records, daemon=True)
            self.sender.start()
        elif self.way in ("within", "stutter"):
            self.callbacks = Transfer(self.push), Transfer(self.pull), Wait(self.wait)
            lib.gnutls_transport_set_push_function(self.session, self.callbacks[0])
            lib.gnutls_transport_set_pull_function(self.session, self.callbacks[1])
            lib.gnutls_transport_set_pull_timeout_function(self.session, self.callbacks[2])

    def put(self, _, data, size):
        self.records.put(ctypes.string_at(data, size))
        return size

    def once(self, name):
        call = getattr(self, name)
        setattr(self, name, None)
        if call:
            call()

    def refuse(self):
        lib.gnutls_transport_set_errno(self.session, errno.EAGAIN)
        return -1

    def push(self, _, data, size):
        self.once("before_push")
        if self.way == "stutter":
            self.pushes += 1
            if self.pushes % 3 == 1:
                return self.refuse()
            if self.pushes % 3 == 2 and size > 100:
                size //= 2
        self.socket.sendall(ctypes.string_at(data, size))
        return size

    def pull(self, _, data, size):
        self.once("before_pull")
        if self.way == "stutter":
            self.pulls += 1
            if self.pulls % 3 == 1:
                return self.refuse()
            size = min(size, 3000)
        received = self.socket.recv(size)
        ctypes.memmove(data, received, len(received))
        return len(received)

    def wait(self, _, milliseconds):
        return bool(select.select([self.socket], [], [], None if milliseconds == 0xffffffff else milliseconds / 1000)[0])

    def send_records(self):
        some = b""
        while data := self.records.get():
            some += data
            if self.records.empty():
                self.socket.sendall(some)
                some = b""

    def retry(self, call, *arguments):
        while (n := call(self.session, *arguments)) in (AGAIN, REHANDSHAKE, INTERRUPTED):
            if n == REHANDSHAKE:
                check(self.retry(lib.gnutls_handshake))
            elif self.way == "nonblocking":
                writes = lib.gnutls_record_get_direction(self.session)
                select.select([] if writes else [self.socket], [self.socket] if writes else [], [], 60)
        return n

    def establish(self):
        if not self.established:
            check(self.retry(lib.gnutls_handshake))
            self.established = True

    def recv(self, size):
        if self.ended:
            return b""
        self.establish()
        if self.way == "half" and not self.context.server and not self.asked:
            check(lib.gnutls_bye(self.session, SHUT_WR))
        self.asked = True
        size = min(size, 1000 if self.way == "nonblocking" else 1 << 16)
        buffer = ctypes.create_string_buffer(size)
        if self.way == "seq":
            n = self.retry(lib.gnutls_record_recv_seq, buffer, ctypes.c_size_t(size), ctypes.create_string_buffer(8))
        else:
            n = self.retry(lib.gnutls_record_recv, buffer, ctypes.c_size_t(size))
        self.ended = n in (0, ENDED)
        return b"" if self.ended else buffer.raw[:check(n)]

    def sendall(self, data):
        self.establish()
        self.sent += 1
        if self.way == "stutter" and self.sent in (2, 5):
            check(self.retry(lib.gnutls_session_key_update, 0 if self.context.server else OF_PEER))  # it is an error if both ask the other
        if self.way == "renegotiate" and self.context.server and self.asked:
            check(lib.gnutls_rehandshake(self.session))
            check(self.retry(lib.gnutls_handshake))
            self.asked = False
        data = bytes(data)
        address, sent = ctypes.cast(data, ctypes.c_void_p).value, 0
        if self.way == "cork":
            lib.gnutls_record_cork(self.session)
        size = 7 if self.way in ("cork", "nonblocking") else 1 << 30
        while sent < len(data):
            part, left = ctypes.c_void_p(address + sent), min(size, len(data) - sent)
            if self.way == "range":
                left = min(left, 4096)
                n = self.retry(lib.gnutls_record_send_range, part, ctypes.c_size_t(left), ctypes.byref(Range(left, left + 100)))
            else:
                n = self.retry(lib.gnutls_record_send, part, ctypes.c_size_t(left))
            sent += check(n)
            size *= 4
        if self.way == "cork":
            check(self.retry(lib.gnutls_record_uncork, WAIT))

    def shutdown(self, how):
        pass  # what close does comes first

    def close(self):
        if self.session is None:
            return
        if self.established:
            self.retry(lib.gnutls_bye, SHUT_WR)
        if self.way == "half" and self.context.server:
            while self.recv(4096):  # else what the client has not received may be lost
                pass
        if self.way == "memory":
            self.records.put(b"")
            self.sender.join()
        lib.gnutls_deinit(self.session)
        self.session = None
        self.socket.close()

    def detach(self):
        """Lets go of the connection, without a word to the other end. Its memory is free."""
        lib.gnutls_deinit(self.session)
        self.session = None
        return self.socket.detach()

    def makefile(self, mode, *_, **__):
        return io.BufferedReader(Reader(self))

    def __getattr__(self, name):
        return getattr(self.socket, name)


class Reader(io.RawIOBase):
    def __init__(self, connection):
        self.connection = connection

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.connection.recv(len(buffer))
        buffer[:len(data)] = data
        return len(data)
