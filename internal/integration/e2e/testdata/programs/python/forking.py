"""A web server that hands each connection to a child once the TLS handshake is done: forking.py 127.0.0.1:8080. The parent's memory of it is free
for the next one, while the child goes on with it."""
import os
import signal
import socket
import sys

import account
import answering

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
context = account.server_context()
with socket.create_server(account.split(sys.argv[1]), backlog=128) as listener:
    while True:
        connection, peer = listener.accept()
        connection = context.wrap_socket(connection, server_side=True)
        if os.fork() == 0:
            listener.close()
            answering.answer(connection)
            os._exit(0)
        os.close(connection.detach())
