"""HTTP/1.1 over anything that has read and write: what programs share that do their TLS themselves."""
import account


def requests(read):
    """The requests that bytes have, as generators get them: each is a method, a target, a version. read returns bytes, empty at the end."""
    data = b""

    def fill(enough):
        nonlocal data
        while not enough(data):
            more = read()
            if not more:
                return False
            data += more
        return True

    while fill(lambda d: b"\r\n\r\n" in d):
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}
        if headers.get("transfer-encoding") == "chunked":
            while True:
                fill(lambda d: b"\r\n" in d)
                size, _, data = data.partition(b"\r\n")
                size = int(size, 16)
                fill(lambda d: len(d) >= size + 2)
                data = data[size + 2:]
                if not size:
                    break
        else:
            size = int(headers.get("content-length", "0"))
            fill(lambda d: len(d) >= size)
            data = data[size:]
        yield line.split()


def response(method, target, version, local, peer):
    """The parts of the response to a request, of which this writes the account."""
    status, size, chunked = account.wanted(target)
    account.report("server", method, target, status, version.removeprefix("HTTP/"), local, peer)
    framing = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {size}\r\n"
    if status == 204:
        framing = ""
    parts = [f"HTTP/1.1 {status} Sent\r\n".encode(), f"{framing}\r\n".encode()]
    if account.has_body(method, status):
        body = b"x" * size
        parts += [b"%x\r\n" % size, body, b"\r\n0\r\n\r\n"] if chunked else [body[:size // 2], body[size // 2:]]
    return parts


def answer(connection):
    """Answers the requests of a connection to its end."""
    local, peer = connection.getsockname(), connection.getpeername()
    for request in requests(lambda: connection.recv(65536)):
        for part in response(*request, local, peer):
            if part:
                connection.sendall(part)
