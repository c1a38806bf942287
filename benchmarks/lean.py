"""The load's HTTP client: keep-alive connections and server-sent events on asyncio protocols, and nothing else.

A client library took more CPU an event than the gateway that was measured, and its time counted as the service's. This one
is for measuring on loopback only: it knows what the gateway sends, and whatever else comes ends the run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

END = b"\r\n\r\n"


class LeanClient:
    """Posts to one gateway over as many connections as there are requests under way, and follows streams."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "127.0.0.1", parts.port or 80
        self._common = f"Host: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        self._post = f"POST /v1/events HTTP/1.1\r\n{self._common}Content-Type: application/json\r\nContent-Length: ".encode()
        self._idle: list[_Asking] = []
        self._connections: set[_Connection] = set()

    async def post(self, body: bytes) -> None:
        """Post events. Raises RuntimeError when they are not accepted."""
        asking = self._idle.pop() if self._idle else _Asking()
        await self._connect(asking)
        status = await asking.ask(b"%b%d\r\n\r\n%b" % (self._post, len(body), body))
        if status != b"202":
            raise RuntimeError(f"the gateway answered {status.decode()}")
        self._idle.append(asking)

    async def follow(self, path: str, told: Callable[[bytes], None]) -> None:
        """Call `told` with the data of every server-sent event of `path` from now on; returns when the stream is open."""
        stream = _Following(told)
        await self._connect(stream)
        stream.write(f"GET {path} HTTP/1.1\r\n{self._common}Accept: text/event-stream\r\n\r\n".encode())
        await stream.opened

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.close()

    async def _connect(self, connection: _Connection) -> None:
        if connection.transport is None:
            await asyncio.get_running_loop().create_connection(lambda: connection, *self._address)
            self._connections.add(connection)


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own is none of asyncio's classes

    def write(self, request: bytes) -> None:
        """Send a request."""
        assert self.transport is not None, "connect first"
        self.transport.write(request)


class _Asking(_Connection):
    """One request at a time; the answer has a content length."""

    def __init__(self) -> None:
        self._read = b""
        self._answer: asyncio.Future[bytes] | None = None

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """The status of the answer to a request."""
        self._answer, self._read = asyncio.get_running_loop().create_future(), b""
        self.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(END)
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        if len(body) >= int(length) and self._answer is not None:
            self._answer.set_result(head[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None  # the gateway closes what was idle; the next request connects again
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the gateway closed a connection"))


class _Following(_Connection):
    """A stream of events, chunked; a line of data never spans chunks."""

    def __init__(self, told: Callable[[bytes], None]) -> None:
        self._told, self._rest = told, b""
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: "):
                self._told(line[6:])
            elif line.startswith(b"id: ") and not self.opened.done():
                self.opened.set_result(None)
