"""Who connects and does not ask is hung up on; who is slow for a good reason is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import uvicorn

from stemwright.app.idle_timeout import IdleTimeoutProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]

HASTY = 0.2  # seconds


class Hasty(IdleTimeoutProtocol):
    IDLE_TIMEOUT = HASTY


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read all that comes, think, and say how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await asyncio.sleep(5 * HASTY)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": f"{size:02}".encode()})


def talked(talk: Talk) -> bytes:
    """What a client gets until the server hangs up, which it does soon."""

    async def run() -> bytes:
        config = uvicorn.Config(app, http=Hasty, port=0, log_config=None, lifespan="off", timeout_keep_alive=60)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
        try:
            return await asyncio.wait_for(talk(reader, writer), 50 * HASTY)
        finally:
            writer.close()
            server.should_exit = True
            await serving

    return asyncio.run(run())


def test_client_that_says_nothing_is_hung_up_on() -> None:
    assert talked(lambda reader, _: reader.read()) == b""


def test_client_that_asks_letter_by_letter_is_hung_up_on() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for letter in b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 200:
            if reader.at_eof():
                break
            writer.write(bytes([letter]))
            await asyncio.sleep(HASTY / 4)
        return await reader.read()

    assert talked(talk) == b""


def test_slow_body_and_slow_answer_are_waited_for_and_then_the_client_has_to_ask_again() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n")
            for _ in range(12):
                writer.write(b"x")
                await asyncio.sleep(HASTY / 2)
        return await reader.read()

    answers = talked(talk)
    assert answers.count(b"200 OK") == 2
    assert answers.endswith(b"\r\n\r\n12")
