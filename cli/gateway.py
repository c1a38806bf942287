"""Composition root of a gateway: ingest, hub and the HTTP application on uvicorn, all on one loop (decision 17)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cli.parts import shared_parts
from cli.process import listen, starting, stop_signal, until_stopped_or_failed
from delivery.app import Gateway, make_app
from delivery.auth import DevelopmentKey
from delivery.hub import Hub
from delivery.ingest import Ingest
from delivery.receipts import Receipts
from runtime.clock import wall_clock
from runtime.logging import logger
from runtime.settings import Settings
from runtime.tasks import cancel_all
from schemas.errors import Misconfigured
from streams.published import PublishedTopics
from streams.redis_live import RedisLive

log = logger("segue.gateway")
BACKLOG = 1_024
KEEP_ALIVE_SECONDS = 60
MOST_HEAD = 64 * 1024
"""Bytes of a request before its body."""
STOP_SECONDS = 5
UNREAD_BYTES = 128 * 1024
"""What the system may hold for a reader who does not read. Left to itself it holds megabytes, a stream."""

UNREAD_SECONDS = 30


async def run_gateway(settings: Settings) -> None:
    """Serve until told to stop."""
    if not settings.key:
        raise Misconfigured("Set SEGUE_KEY to the key that clients send; `segue up` makes one.")
    settings.refuse_others("A development key is for loopback")
    stop = stop_signal()
    async with AsyncExitStack() as stack:
        async with starting(stop):
            parts = await stack.enter_async_context(shared_parts(settings))
            published = PublishedTopics(parts.shared)
            stack.push_async_callback(published.tail.stop)
            await published.tail.start()
            view = RedisLive(parts.wire, parts.new_wire(), settings.partitions)
            hub = Hub(view, settings.partitions)
            stack.push_async_callback(hub.stop)
            await hub.start()
        ingest = Ingest(parts.ingest, published, settings.partitions, wall_clock)
        receipts = Receipts(ingest)
        telling = asyncio.create_task(receipts.run(), name="receipts")
        stack.push_async_callback(cancel_all, [telling])
        keys = DevelopmentKey(settings.key)
        gateway = Gateway(ingest, hub, view, published, keys, receipts, settings.partitions, wall_clock)
        await _serve(make_app(gateway), settings, stop, hub, [*hub.tasks, *published.tail.tasks, telling])


def _is_news(record: logging.LogRecord) -> bool:
    """uvicorn takes a stream that was cut off for a fault of ours; delivery has said so already."""
    return not record.getMessage().startswith("ASGI callable returned without completing response")


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with an end to how long the head of a request may be: whoever sends one has shown no key yet."""

    _heading, _head = True, 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heading, self._head = True, 0

    def on_headers_complete(self) -> None:
        self._heading = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes while the head is not whole."""
        heading = self._heading
        super().data_received(data)
        if heading and self._heading:
            self._head += len(data)
            if self._head > MOST_HEAD and not self.transport.is_closing():
                log.warning("a request whose head does not end was cut off", read=self._head)
                self.transport.close()


class _Server(Server):
    """uvicorn without handlers of its own for signals: this process has them."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Where the gateway listens."""
    listening = listen(host, port, BACKLOG)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: closing waits for the reader; this ends who never reads again
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1_000)
    return listening


async def _serve(app: ASGIApp, settings: Settings, stop: asyncio.Event, hub: Hub,
                 tasks: list[asyncio.Task[None]]) -> None:  # fmt: skip
    listening = _listen(settings.host, settings.port)
    config = Config(app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
                    server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=STOP_SECONDS,
                    backlog=BACKLOG)  # fmt: skip
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listening]), name="http")
    log.info("gateway ready", address=f"http://{settings.host}:{settings.port}")
    try:
        await until_stopped_or_failed(stop, [serving, *tasks])
    finally:
        await hub.stop()
        server.should_exit = True
        await serving
    log.info("gateway stopped")
