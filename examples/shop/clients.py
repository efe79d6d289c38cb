"""As much of a client of Redis, and of PostgreSQL, as the stock needs, so that it needs no package."""
import socket
import struct


def connect(port):
    return socket.create_connection(("127.0.0.1", port)).makefile("rwb")


class Redis:
    def __init__(self, port):
        self.stream = connect(port)

    def call(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        self.stream.write(b"".join(parts))
        self.stream.flush()
        kind, text = self.stream.read(1), self.stream.readline()[:-2].decode()
        if kind == b"-":
            raise RuntimeError(text)
        if kind != b"$":
            return text
        if text == "-1":
            return None
        return self.stream.read(int(text) + 2)[:-2].decode()


class Postgres:
    def __init__(self, port):
        self.stream = connect(port)
        self._send(b"", struct.pack("!I", 3 << 16) + b"user\0postgres\0\0")
        self._rows()

    def query(self, sql):
        self._send(b"Q", sql.encode() + b"\0")
        return self._rows()

    def _send(self, kind, body):
        self.stream.write(kind + struct.pack("!I", 4 + len(body)) + body)
        self.stream.flush()

    def _rows(self):
        """Reads messages until the server is ready for the next query."""
        rows = []
        while True:
            kind, size = struct.unpack("!cI", self.stream.read(5))
            body = self.stream.read(size - 4)
            if kind == b"E":
                raise RuntimeError(body.replace(b"\0", b" ").decode())
            if kind == b"D":
                rows.append(columns(body))
            if kind == b"Z":
                return rows


def columns(body):
    """The values of a row, as text; None for NULL."""
    values, at = [], 2
    for _ in range(struct.unpack_from("!H", body)[0]):
        (size,) = struct.unpack_from("!i", body, at)
        at += 4
        values.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return values
