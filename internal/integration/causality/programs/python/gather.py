"""What the services of asyncio have in common."""
import asyncio

from service import CALLS, COUNT, delay


async def answers(call, path):
    """The answers of call(path, k), joined."""
    if CALLS == "delayed":
        await asyncio.sleep(delay(path))
    if CALLS == "parallel":
        return b",".join(await asyncio.gather(*(call(path, k) for k in range(COUNT))))
    return b",".join([await call(path, k) for k in range(COUNT)])
