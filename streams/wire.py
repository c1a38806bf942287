"""One connection to Redis or Valkey that many calls share: written at once, answered in order; faults become Unavailable.

redis-py connects (address, TLS, credentials, protocol); from then on bytes go to and from hiredis through one protocol
object. The same call through redis-py's pool, retries, hooks and stream readers costs several times as much
(`docs/performance.md`). A `Wire` never sends anything twice: who calls decides what an unknown outcome means.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

import hiredis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from schemas.errors import Misconfigured, Unavailable

PATIENCE_SECONDS = 5.0
CONNECT_SECONDS = 5.0
PASSING = ("LOADING", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "BUSY", "ERR max")
"""How the answers begin that will be others in a while."""

SCRIPTS = ("advance", "look", "rows", "dirty", "clean", "forget", "rebuild", "append", "tail", "remember", "take")
Command = Sequence[str | bytes | int | float]


class Answers(asyncio.Protocol):
    """Answers of one connection, given to the calls that wait for them, in order."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._reader = hiredis.Reader(protocolError=ResponseError, replyError=ResponseError)
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.lost = False

    def call(self, packed: bytes, deadline: float) -> asyncio.Future[Any]:
        """Write a command. The future gets its answer; calls whose deadline passes end the connection."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((deadline, future))
        self._transport.write(packed)
        return future

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(str(exc or "connection lost"))

    def overdue(self, now: float) -> bool:
        """Whether a call has waited longer than it may."""
        return bool(self._waiting) and self._waiting[0][0] < now

    def end(self, why: str) -> None:
        """Close; whoever waits gets Unavailable: whether the server did what was asked is unknown."""
        self.lost = True
        self._transport.abort()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable("store", why))


class Wire:
    """Connects when first called, and again after a loss. `aclose` when done."""

    def __init__(self, url: str) -> None:
        try:
            self._pool = ConnectionPool.from_url(
                url, protocol=2, retry=Retry(NoBackoff(), 0), socket_connect_timeout=CONNECT_SECONDS
            )
        except ValueError as fault:
            told = re.sub(r"//[^/]*@", "//…@", url)  # whoever reads a log is not to have the password
            raise Misconfigured(
                f"SEGUE_REDIS_URL {told!r} is no address of a Redis: {str(fault).replace(url, told)}."
            ) from None
        self._connection: Any = None
        self._answers: Answers | None = None
        self._connecting = asyncio.Lock()
        self._watch: asyncio.TimerHandle | None = None

    async def call(self, *command: str | bytes | int | float, patience: float = PATIENCE_SECONDS) -> Any:
        """The answer to a command. Raises Unavailable when there is none in `patience` seconds, or it asks to come later."""
        answers = self._answers
        if answers is None or answers.lost:
            answers = await self._connected()
        loop = asyncio.get_running_loop()
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # the stub means a tuple of any length
        answer = await answers.call(packed, loop.time() + patience)
        if isinstance(answer, ResponseError):
            _raise(answer)
        return answer

    async def now_ms(self) -> int:
        """What the store's clock says: the one that all workers and gateways have in common."""
        seconds, microseconds = await self.call("TIME")
        return int(seconds) * 1_000 + int(microseconds) // 1_000

    async def aclose(self) -> None:
        """Disconnect."""
        if self._watch is not None:
            self._watch.cancel()
        if self._answers is not None:
            self._answers.end("closed")
        await self._drop()

    async def _connected(self) -> Answers:
        async with self._connecting:
            if self._answers is not None and not self._answers.lost:
                return self._answers
            await self._drop()
            self._connection = self._pool.make_connection()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._connection.connect()
            except (RedisError, OSError, TimeoutError) as fault:
                raise Unavailable("store", str(fault) or type(fault).__name__) from fault
            transport = self._connection._writer.transport
            self._answers = Answers(transport)
            transport.set_protocol(self._answers)
            self._look_after()
            return self._answers

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)
            self._connection = None

    def _look_after(self) -> None:
        """End the connection when its oldest call is overdue: answers come in order, so none after it can be trusted."""
        loop = asyncio.get_running_loop()
        if self._watch is not None:
            self._watch.cancel()
        if self._answers is None or self._answers.lost:
            return
        if self._answers.overdue(loop.time()):
            self._answers.end("no answer in time")
        self._watch = loop.call_later(0.5, self._look_after)


def _raise(answer: ResponseError) -> None:
    if str(answer).startswith(PASSING):
        raise Unavailable("store", str(answer))
    raise answer


async def xread(wire: Wire, after: Mapping[str, int], count: int, wait_seconds: float = 0.0) -> Sequence[Any]:
    """Entries of streams after those numbers: [stream, [[name, [field, value, ...]], ...]] each.

    One that waits blocks the wire, so it is to be one of its own.
    """
    names = [f"{number}-0" for number in after.values()]
    waiting: Command = ("BLOCK", max(1, int(wait_seconds * 1000))) if wait_seconds else ()
    command: Command = ("XREAD", "COUNT", count, *waiting, "STREAMS", *after, *names)
    return await wire.call(*command, patience=wait_seconds + PATIENCE_SECONDS) or ()


def field(fields: Sequence[bytes], name: bytes) -> bytes | None:
    """A field of a stream's entry."""
    return next((fields[at + 1] for at in range(0, len(fields), 2) if fields[at] == name), None)


class Scripts:
    """The Lua scripts on one wire, called by their hash; a server that does not know one is told."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sources = {name: files("streams").joinpath("scripts", f"{name}.lua").read_text() for name in SCRIPTS}
        self._hashes = {name: sha1(source.encode()).hexdigest() for name, source in self._sources.items()}

    async def run(self, name: str, keys: Sequence[str], args: Command) -> Any:
        """Run a script. Raises Unavailable when it is unknown whether it ran."""
        try:
            return await self._wire.call("EVALSHA", self._hashes[name], len(keys), *keys, *args)
        except ResponseError as answer:
            if not str(answer).startswith("NOSCRIPT"):
                raise
        await self._wire.call("SCRIPT", "LOAD", self._sources[name])
        return await self._wire.call("EVALSHA", self._hashes[name], len(keys), *keys, *args)
