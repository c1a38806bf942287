"""A process beside a worker that learns the population, so that learning never stands in a decision's way.

It is forked before the worker's loop starts and gives way to whoever else wants the processor. Frames over a pair of
sockets: four bytes of length, then msgpack, one answer an ask. It ends when the worker's end is closed, however the worker
ended. It takes no signals: Ctrl-C reaches every process of a terminal, and the worker still has to publish.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from io import BufferedRWPair
from struct import Struct
from types import TracebackType
from typing import Final

from msgspec import msgpack

from agents.lessons import Ask, Cut, Lessons
from cli.process import collect_seldom

GIVES_WAY: Final = 5
"""Added to the worker's niceness: a third of its share where both want all of a core."""

LOOK_SECONDS: Final = 0.5

_LENGTH: Final = Struct("<I")
_asks, _cuts = msgpack.Decoder(Ask), msgpack.Decoder(list[Cut])


class Beside:
    """The worker's end: `ask` it one thing at a time. Make it before there are threads or a loop; a context manager."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._ours.close()
            os._exit(_serve(theirs))
        theirs.close()
        self._gone = False
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ours.close()
        if not self._gone:
            os.waitpid(self.pid, 0)

    async def watch(self) -> None:
        """Runs for ever; raises RuntimeError when the process is gone, also where nobody asks it anything."""
        while not self._ended():  # noqa: ASYNC110  (the system tells of its end only when asked)
            await asyncio.sleep(LOOK_SECONDS)
        raise RuntimeError(self._farewell())

    def _ended(self) -> bool:
        self._gone = self._gone or os.waitpid(self.pid, os.WNOHANG) != (0, 0)
        return self._gone

    async def close(self) -> None:
        """Let the process go; `ask` no more."""
        if self._streams is not None:
            _, writer = self._streams
            writer.close()
            with suppress(ConnectionError):  # it went first, and `ask` has said so
                await writer.wait_closed()

    async def ask(self, ask: Ask) -> list[Cut]:
        """Its answer. Raises RuntimeError when the process is gone, and what it had learned with it."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(sock=self._ours)
        reader, writer = self._streams
        frame = msgpack.encode(ask)
        try:
            writer.writelines([_LENGTH.pack(len(frame)), frame])
            await writer.drain()
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            return _cuts.decode(await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise RuntimeError(self._farewell()) from None

    def _farewell(self) -> str:
        return f"The process that learns the population ended (pid {self.pid})."


def _serve(connected: socket.socket) -> int:
    """Answer until the other end is closed. Returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(GIVES_WAY)
    collect_seldom()
    lessons = Lessons()
    try:
        with connected.makefile("rwb") as stream:
            while ask := _read(stream):
                answer = msgpack.encode(lessons.answer(_asks.decode(ask)))
                stream.write(_LENGTH.pack(len(answer)) + answer)
                stream.flush()
    except ConnectionError:
        return 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        return 1
    return 0


def _read(stream: BufferedRWPair) -> bytes:
    """A frame; empty when there are no more."""
    head = stream.read(_LENGTH.size)
    return stream.read(*_LENGTH.unpack(head)) if len(head) == _LENGTH.size else b""
