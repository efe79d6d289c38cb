"""HTTP/1.1 of a client over anything that has read and write: what programs share that do their TLS themselves."""
import account


def request(line, host):
    """The method and the bytes of a request of a plan, which client.py describes."""
    method, target, size, framing, traceparent = line.split()
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
    if traceparent != "-":
        head += f"traceparent: {traceparent}\r\n"
    body = b"0" * int(size)
    if body and framing == "chunked":
        head += "Transfer-Encoding: chunked\r\n"
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    elif body:
        head += f"Content-Length: {size}\r\n"
    return method, f"{head}\r\n".encode() + body


class Responses:
    """Those that read returns the bytes of. read returns none at the end, which is not expected."""

    def __init__(self, read):
        self.read, self.data = read, b""

    def fill(self, enough):
        while not enough():
            more = self.read()
            if not more:
                raise EOFError("the connection has ended")
            self.data += more

    def take(self, method):
        """The status of the next one, which answers a request with that method."""
        self.fill(lambda: b"\r\n\r\n" in self.data)
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}
        status = int(line.split()[1])
        if not account.has_body(method, status):
            return status
        if headers.get("transfer-encoding") == "chunked":
            while self.chunk():
                pass
        else:
            size = int(headers["content-length"])
            self.fill(lambda: len(self.data) >= size)
            self.data = self.data[size:]
        return status

    def chunk(self):
        self.fill(lambda: b"\r\n" in self.data)
        size, _, self.data = self.data.partition(b"\r\n")
        size = int(size, 16)
        self.fill(lambda: len(self.data) >= size + 2)
        self.data = self.data[size + 2:]
        return size
