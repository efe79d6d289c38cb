"""A web server that does TLS in memory: memory.py 127.0.0.1:8080. One thread does the TLS of all connections, another one receives, and a third one
sends what has been encrypted: the records of a response at once, those of several connections in no order."""
import queue
import random
import selectors
import socket
import ssl
import sys
import threading

import account
import answering

received, encrypted = queue.Queue(), queue.Queue()
context = account.server_context()


def speak_in_memory():
    """A request and its response that no socket carries. The next connection's object may be where several of these were."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = account.client_context().wrap_bio(to_client, to_server)
    for end in [client, server] * 4:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    client.write(b"GET /in-memory HTTP/1.1\r\nHost: memory\r\n\r\n")
    server.read(1000)
    server.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    client.read(1000)


class Connection:
    def __init__(self, connection):
        for _ in range(10):
            speak_in_memory()
        self.socket = connection
        self.local, self.peer = connection.getsockname(), connection.getpeername()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.data = b""

    def advance(self):
        try:
            self.tls.do_handshake()
            while data := self.tls.read(65536):
                self.data += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return
        while True:
            data = self.data
            taken = []

            def read():
                if taken:
                    raise BlockingIOError
                taken.append(True)
                return data

            try:
                request = next(answering.requests(read))
            except (BlockingIOError, StopIteration):
                return
            self.data = b""  # a client here sends one request at a time
            for part in answering.response(*request, self.local, self.peer):
                if part:
                    self.tls.write(part)


def receive():
    selector = selectors.DefaultSelector()
    listener = socket.create_server(account.split(sys.argv[1]), backlog=128)
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection = listener.accept()[0]
                selector.register(connection, selectors.EVENT_READ, Connection(connection))
                continue
            try:
                data = key.fileobj.recv(65536)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fileobj)
            received.put((key.data, data))


def send():
    while True:
        connection, data = encrypted.get()
        if data:
            try:
                connection.socket.sendall(data)
            except OSError:
                pass
        else:
            connection.socket.close()


for thread in receive, send:
    threading.Thread(target=thread, daemon=True).start()
while True:
    some = [received.get()]
    while not received.empty():
        some.append(received.get())
    for connection, data in some:
        if data:
            connection.incoming.write(data)
            connection.advance()
    random.shuffle(some)
    for connection, data in some:
        if out := connection.outgoing.read():
            encrypted.put((connection, out))
        if not data:
            encrypted.put((connection, b""))
