"""A whole service on this machine, as `segue up`, `demo` and `replay` run it: engine, gateway, worker."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cli.forked import preload
from cli.process import listen
from cli.supervisor import Child, Supervisor, wait_until_ready
from runtime.logging import logger
from runtime.settings import Settings
from streams.engine import Engine

log = logger("segue.up")
T = TypeVar("T")
TEND_SECONDS = 0.2


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    key: str
    supervisor: Supervisor
    workers: list[Child]
    engine: Engine | None

    def tend(self) -> None:
        """Start again what died."""
        if self.engine is not None:
            whole = self.engine.keeper.whole
            if self.engine.tend():
                log.warning("store died, started it again", data=str(self.engine.data), whole=whole)
                if not whole:
                    self.supervisor.kill()
        self.supervisor.tend()


async def tended(service: Service, work: Coroutine[Any, Any, T]) -> T:
    """Do `work` while keeping the service running."""
    working = asyncio.create_task(work)
    try:
        while not working.done():
            await asyncio.wait({working}, timeout=TEND_SECONDS)
            service.tend()
    finally:
        working.cancel()
    return await working


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_service(settings: Settings, workers: int = 1, module: Sequence[str] = ()) -> Iterator[Service]:
    """Start everything, and stop it at the end in reverse: gateway and workers first, the engine last.

    `module` (with arguments) is run as the worker in place of ours.
    With SEGUE_REDIS_URL set the view is somebody else's and no engine is started. Raises Misconfigured when another service
    has the port.
    """
    if settings.port:
        listen(settings.host, settings.port).close()
    supervisor, engine = Supervisor(), None
    preload(("cli.worker", "cli.gateway", *(("cli.kafka_worker",) if settings.broker == "kafka" else ())))
    try:
        url = settings.redis_url
        if not url:
            starting = Engine(settings.data, durable=settings.durable)
            starting.start()
            engine, url = starting, starting.url
        key = settings.key or secrets.token_urlsafe(18)
        port = settings.port or free_port()
        environment = _environment(settings) | {"SEGUE_REDIS_URL": url, "SEGUE_KEY": key, "SEGUE_PORT": str(port)}
        started = [supervisor.add("worker", environment=environment, module=module) for _ in range(workers)]
        supervisor.add("gateway", environment=environment)
        address = f"http://[{settings.host}]:{port}" if ":" in settings.host else f"http://{settings.host}:{port}"
        wait_until_ready(address, supervisor)
        yield Service(address, key, supervisor, started, engine)
    finally:
        with undisturbed():
            supervisor.stop()
            if engine is not None:
                engine.stop()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Being told to stop again does not keep anybody from stopping."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as variables, so that every process reads the same."""
    given = settings.model_dump(mode="json", exclude={"redis_url", "key", "port"})
    return {f"SEGUE_{name.upper()}": str(value) for name, value in given.items()}
