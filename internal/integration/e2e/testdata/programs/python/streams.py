"""A web server on asyncio's streams: streams.py 127.0.0.1:8080. It answers pipelined requests in their order."""
import asyncio
import sys

import account


async def converse(reader, writer):
    local, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    while line := await reader.readline():
        method, target, version = line.decode().split()
        headers = {}
        while (line := (await reader.readline()).decode().strip()):
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            await reader.readexactly(int(headers.get("content-length", "0")))
        status, size, chunked = account.wanted(target)
        account.report("server", method, target, status, version.removeprefix("HTTP/"), local, peer)
        framing = "Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {size}\r\n"
        if status == 204:
            framing = ""
        writer.write(f"HTTP/1.1 {status} Sent\r\n{framing}\r\n".encode())
        if account.has_body(method, status):
            if chunked:
                writer.write(b"%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n")
            else:
                writer.write(b"x" * size)
        await writer.drain()
    writer.close()


async def serve():
    server = await asyncio.start_server(converse, *account.split(sys.argv[1]), ssl=account.server_context())
    async with server:
        await server.serve_forever()


asyncio.run(serve())
