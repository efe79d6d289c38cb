"""Server and client of aiohttp."""
from aiohttp import ClientSession, TCPConnector, web

from gather import answers
from service import LISTEN, POOLED, request_id, url

session = web.AppKey("session", ClientSession) if hasattr(web, "AppKey") else "session"


async def handle(request):
    async def call(path, k):
        async with request.app[session].get(url(path, k), headers=request_id(path)) as response:
            return await response.read()

    return web.Response(body=await answers(call, request.path))


async def client(app):
    app[session] = ClientSession(connector=TCPConnector(limit=0, force_close=not POOLED))
    yield
    await app[session].close()


app = web.Application()
app.cleanup_ctx.append(client)
app.router.add_get("/r/{id}", handle)
web.run_app(app, host="127.0.0.1", port=LISTEN, backlog=2048, access_log=None)
