"""Servers for tests: a real Valkey and a real Kafka, started by the tests that need them and stopped after them."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from schemas.errors import SegueError
from streams.engine import Engine
from streams.kafka.local import LocalKafka, fetch_jars, missing_tools
from streams.kafka.names import Cluster
from streams.wire import Wire
from tests.require import need

settings.register_profile("untimed", deadline=None)  # machines are noisy: no test asserts on absolute time
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real Valkey on a socket of its own."""
    engine = Engine(tmp_path_factory.mktemp("valkey"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def empty_valkey(valkey: Engine) -> Engine:
    """The same, with nothing in it."""
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey


@pytest.fixture
async def client(empty_valkey: Engine) -> AsyncIterator[Wire]:
    """A connection to it."""
    made = Wire(empty_valkey.url)
    yield made
    await made.aclose()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real single-node Kafka."""
    need("kafka", missing_tools())
    try:
        fetch_jars()
    except SegueError as fault:
        need("kafka", str(fault))
    broker = LocalKafka(Path(tmp_path_factory.mktemp("kafka")))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def cluster(kafka: LocalKafka) -> Cluster:
    """Names of fresh topics on it; who uses them calls `ensure_topics`."""
    name = f"t{secrets.token_hex(4)}"
    return Cluster(kafka.servers, name, f"{name}.", partitions=2, replication=1)
