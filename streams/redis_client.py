"""A connection to Redis or Valkey, and the translation of its faults: what may pass becomes Unavailable, a bug stays one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from redis import exceptions
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from schemas.errors import Unavailable

PASSING = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    OSError,
)
MAX_CONNECTIONS = 2_048
"""So many calls may be under way at once; a pool that makes callers wait costs a tenth of a gateway's time."""

SCRIPTS = ("advance", "look", "rows", "dirty", "clean", "forget", "rebuild", "append", "tail", "remember", "take")


def connect(url: str, *, timeout_seconds: float | None = 5.0) -> Redis:
    """A client that never retries by itself: who calls decides what an unknown outcome means."""
    pool = ConnectionPool.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_seconds,
        socket_connect_timeout=5.0,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


class Scripts:
    """The Lua scripts, registered once on one client."""

    def __init__(self, client: Redis) -> None:
        self._scripts: dict[str, AsyncScript] = {}
        for name in SCRIPTS:
            source = files("streams").joinpath("scripts", f"{name}.lua").read_text()
            self._scripts[name] = client.register_script(source)

    async def run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run a script. Raises Unavailable when it is unknown whether it ran."""
        with passing_faults():
            return await self._scripts[name](keys=keys, args=args)


@contextmanager
def passing_faults() -> Iterator[None]:
    """Raise Unavailable for faults that pass by themselves."""
    try:
        yield
    except PASSING as fault:
        raise Unavailable("store", str(fault) or type(fault).__name__) from fault
    except exceptions.ResponseError as fault:
        if str(fault).startswith(("MISCONF", "LOADING", "OOM", "MASTERDOWN", "NOREPLICAS")):
            raise Unavailable("store", str(fault)) from fault
        raise
