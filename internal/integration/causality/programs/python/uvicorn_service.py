"""uvicorn as the server, httpx as the client."""
import httpx
import uvicorn

from gather import answers
from service import LISTEN, POOLED, request_id, url

limits = httpx.Limits(max_connections=None, max_keepalive_connections=None if POOLED else 0)
client = None


async def call(path, k):
    return (await client.get(url(path, k), headers=request_id(path))).content


async def application(scope, receive, send):
    global client
    if client is None:
        client = httpx.AsyncClient(limits=limits, timeout=None)
    body = await answers(call, scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


uvicorn.run(application, host="127.0.0.1", port=LISTEN, backlog=2048, log_level="warning", lifespan="off", timeout_keep_alive=60)
