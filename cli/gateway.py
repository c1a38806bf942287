"""Composition root of a gateway: ingest, hub and the HTTP application on granian."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from cli.parts import shared_parts
from cli.process import stop_signal, until_stopped_or_failed
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
LOOPBACK = ("127.0.0.1", "::1", "localhost")


async def run_gateway(settings: Settings) -> None:
    """Serve until told to stop."""
    if not settings.key:
        raise Misconfigured("Set SEGUE_KEY to the key that clients send; `segue up` makes one.")
    if settings.host not in LOOPBACK and not settings.behind_loopback:
        raise Misconfigured(
            f"A development key is for loopback; SEGUE_HOST={settings.host} would be open to others.\n"
            "In a container whose port is published on 127.0.0.1 only, set SEGUE_BEHIND_LOOPBACK=true."
        )
    stop = stop_signal()
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(shared_parts(settings))
        published = PublishedTopics(parts.shared)
        await published.tail.start()
        stack.push_async_callback(published.tail.stop)
        view = RedisLive(parts.wire, parts.new_wire(), settings.partitions)
        hub = Hub(view, settings.partitions)
        await hub.start()
        stack.push_async_callback(hub.stop)
        ingest = Ingest(parts.ingest, published, settings.partitions, wall_clock)
        receipts = Receipts(ingest)
        telling = asyncio.create_task(receipts.run(), name="receipts")
        stack.push_async_callback(cancel_all, [telling])
        keys = DevelopmentKey(settings.key)
        gateway = Gateway(ingest, hub, view, published, keys, receipts, settings.partitions, wall_clock)
        await _serve(make_app(gateway), settings, stop, hub, [*hub.tasks, *published.tail.tasks, telling])


async def _serve(app: object, settings: Settings, stop: asyncio.Event, hub: Hub,
                 tasks: list[asyncio.Task[None]]) -> None:  # fmt: skip
    server = Server(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        log_level=LogLevels.error,
        backlog=1024,
        backpressure=16_384,
    )
    serving = asyncio.create_task(server.serve(), name="granian")
    log.info("gateway ready", address=f"http://{settings.host}:{settings.port}")
    await until_stopped_or_failed(stop, [serving, *tasks])
    if serving.done():
        raise Misconfigured(f"The gateway cannot listen on {settings.host}:{settings.port}; is it taken?")
    await hub.stop()
    server.stop()
    try:
        await asyncio.wait_for(serving, 5.0)
    except TimeoutError:
        serving.cancel()
    log.info("gateway stopped")
