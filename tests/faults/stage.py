"""A whole service to be hurt: processes, brokers, store and network, each with a way to break it and to mend it.

Faults are named as in the fault matrix of docs/guarantees.md. Each returns when the injury is over (a killed process may
still be on its way up: how long that takes is what is measured).
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from cli.parts import archive_folder, cluster_of
from cli.service import Service, running_service
from cli.supervisor import Child
from runtime.settings import Settings
from schemas import topics
from schemas.errors import Unavailable
from schemas.interaction import Outgoing
from simulator.client import Client
from streams.archive import Archive
from streams.kafka.local import LocalKafka, Node
from streams.kafka.producer import KafkaProducer
from streams.keys import WORKERS, PartitionKeys
from streams.standalone import StandaloneLog
from streams.wire import Wire
from tests.e2e.harness import until
from tests.factories import HEADERS, event_json
from tests.faults.disk import full, small_disk
from tests.faults.network import Network

SESSION_SECONDS = 6.0
NOTICE_SECONDS = 20.0
JOIN_SECONDS = 40.0
FULL_SECONDS = 3.0
HUNG_SECONDS = 20.0
DISK_SIZE = "4G"
WIDE = 25_000
POISON = (b"", b"{", b"\x00" * 40, b'{"stamp": 1}', b"[]", b"\xff\xfe", b'{"event": {"id": "x"}}')


@dataclass
class Stage:
    """A running service and what it stands on."""

    service: Service
    settings: Settings
    kafka: LocalKafka | None
    network: Network | None
    random: Random
    disk: Path | None = None
    joins_without_share: int = 0

    @property
    def redis_url(self) -> str:
        """Where the view is."""
        return f"unix://{self.settings.data.resolve() / 'valkey.sock'}"

    def worker(self) -> Child:
        """Some worker."""
        return self.random.choice(self.service.workers)

    @property
    def gateway(self) -> Child:
        """The gateway."""
        return next(child for child in self.service.supervisor.children if child.name == "gateway")

    # -- processes ----------------------------------------------------------------------------------------------------

    async def kill_worker(self) -> None:
        """1: kill -9 in the middle of a batch."""
        _signal(self.worker(), signal.SIGKILL)

    async def kill_lessons(self) -> None:
        """1: kill -9 of the process beside a worker that learns the population. Returns when the worker has ended, too."""
        child = self.worker()
        process = child.process
        if process is None or process.poll() is not None:
            return
        with suppress(FileNotFoundError, ProcessLookupError):  # gone in this very moment
            for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        await until(lambda: child.process is not process or process.poll() is not None, NOTICE_SECONDS)

    async def kill_gateway(self) -> None:
        """12: kill -9 in the middle of a POST."""
        _signal(self.gateway, signal.SIGKILL)

    async def kill_both(self) -> None:
        """1 and 12 at once."""
        _signal(self.gateway, signal.SIGKILL)
        _signal(self.worker(), signal.SIGKILL)

    async def stop_worker(self) -> None:
        """4: SIGTERM, as a rolling deploy does."""
        _signal(self.worker(), signal.SIGTERM)

    async def freeze_worker(self) -> None:
        """2: SIGSTOP until the partition moved, then CONT: a zombie."""
        child = self.worker()
        _signal(child, signal.SIGSTOP)
        await asyncio.sleep(SESSION_SECONDS + 2.5 if self.kafka else 2.5)
        _signal(child, signal.SIGCONT)

    async def add_worker(self) -> None:
        """3: another worker joins (Kafka)."""
        if len(self.service.workers) >= 4:
            await self.remove_worker()
            return
        first = self.service.workers[0]
        self.service.workers.append(self.service.supervisor.add("worker", environment=first.environment))
        await self._with_wire(self._all_work)

    async def _all_work(self, wire: Wire) -> None:
        """Wait until as many workers as there are have partitions of their own; that one goes without is counted."""
        deadline = time.monotonic() + JOIN_SECONDS
        while await wire.call("ZCOUNT", WORKERS, int((time.time() - 2.5) * 1000), "+inf") < len(self.service.workers):
            if time.monotonic() > deadline:
                self.joins_without_share += 1
                return
            await asyncio.sleep(0.2)

    async def remove_worker(self) -> None:
        """3: a worker leaves for good (Kafka)."""
        if len(self.service.workers) <= 2:
            return
        child = self.service.workers.pop()
        self.service.supervisor.children.remove(child)
        _signal(child, signal.SIGTERM)
        assert child.process is not None
        await asyncio.to_thread(child.process.wait, 20)

    # -- store --------------------------------------------------------------------------------------------------------

    async def kill_store(self) -> None:
        """10: kill -9; what was acknowledged is in its file."""
        engine = self.service.engine
        assert engine is not None and engine.process is not None
        engine.process.kill()

    async def store_forgets(self) -> None:
        """10 (Kafka only): killed, and the last second of its file is gone."""
        engine = self.service.engine
        assert engine is not None and engine.process is not None
        (file,) = (engine.data / "appendonlydir").glob("*.incr.aof")
        size = file.stat().st_size
        await asyncio.sleep(1.0)
        engine.process.kill()
        engine.process.wait()
        if file.exists():  # else the store has just begun a new file, and there is no last second to take
            os.truncate(file, min(size, file.stat().st_size))

    async def wipe_store(self) -> None:
        """11 (Kafka only): FLUSHALL while events flow."""
        await self._with_wire(lambda wire: wire.call("FLUSHALL"))

    async def corrupt_row(self) -> None:
        """17: a byte of a row is flipped behind our back."""
        keys = PartitionKeys.of(self.random.randrange(self.settings.partitions))

        async def flip(wire: Wire) -> None:
            names = await wire.call("HRANDFIELD", keys.rows, 1)
            if names:
                packed = bytearray(await wire.call("HGET", keys.rows, names[0]))
                packed[len(packed) // 2] ^= 0x10
                await wire.call("HSET", keys.rows, names[0], bytes(packed))

        await self._with_wire(flip)

    async def fill_disk(self) -> None:
        """24: the file system of the store is full for a while."""
        assert self.disk is not None
        with full(self.disk):
            await asyncio.sleep(FULL_SECONDS)

    async def kill_store_on_a_full_disk(self) -> None:
        """24 and 10: killed before there is room again."""
        assert self.disk is not None
        with full(self.disk):
            await asyncio.sleep(1.0)
            await self.kill_store()
            await asyncio.sleep(1.0)

    async def _with_wire(self, work: Callable[[Wire], Awaitable[Any]]) -> None:
        wire = Wire(self.redis_url)
        try:
            await work(wire)
        except Unavailable:
            return
        finally:
            await wire.aclose()

    # -- broker and log -----------------------------------------------------------------------------------------------

    async def kill_broker(self) -> None:
        """5: kill -9 one of three; it comes back."""
        assert self.kafka is not None
        node = self.random.choice(self.kafka.nodes)
        await self._restart([node], 3.0)

    async def kill_brokers(self) -> None:
        """6: all of them; they come back."""
        assert self.kafka is not None
        await self._restart(self.kafka.nodes, 5.0)

    async def hang_broker(self) -> None:
        """5: one of three does not answer, and refuses nothing, as a host without power or network; then it does."""
        assert self.kafka is not None
        process = self.random.choice(self.kafka.nodes).process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(HUNG_SECONDS)
        process.send_signal(signal.SIGCONT)

    async def _restart(self, nodes: list[Node], seconds: float) -> None:
        assert self.kafka is not None
        for node in nodes:
            assert node.process is not None
            node.process.kill()
            node.process.wait()
        await asyncio.sleep(seconds)
        for node in nodes:
            self.kafka.start_node(node)
        for node in nodes:
            await asyncio.to_thread(self.kafka.wait_for, node)

    async def poison(self) -> None:
        """15: bytes that make no sense, straight into the log."""
        partition = self.random.randrange(self.settings.partitions)
        records = [
            Outgoing(topics.INTERACTIONS, partition, b"poison", self.random.choice(POISON), HEADERS) for _ in range(2)
        ]
        await self._append(records)

    async def later_schema(self) -> None:
        """19: a record of the next release."""
        partition = self.random.randrange(self.settings.partitions)
        await self._append([Outgoing(topics.INTERACTIONS, partition, b"later", b'{"event": {}}', (("schema", b"2"),))])

    async def oversized_row(self) -> None:
        """18: an answer that would make its row larger than rows may be."""
        async with Client(self.service.url, self.service.key) as client:
            await client.publish(wide_course())
            await client.send(event_json(str(uuid4()), course="wide", learner="wide", segment="all"))

    async def _append(self, records: list[Outgoing]) -> None:
        if self.kafka is None:
            archive = Archive(archive_folder(self.settings))
            await self._with_wire(lambda wire: StandaloneLog(wire, self.settings.partitions, archive).append(records))
            return
        producer = KafkaProducer(cluster_of(self.settings))
        try:
            await producer.start()
            await producer.append(records)
        except Unavailable:
            return
        finally:
            await producer.stop()

    # -- network ------------------------------------------------------------------------------------------------------

    async def cut_worker(self) -> None:
        """7: a worker and the brokers cannot reach each other, longer than a session; then they can."""
        assert self.network is not None
        self.network.cut()
        await asyncio.sleep(SESSION_SECONDS + 2.0)
        self.network.heal()

    async def cut_one_broker(self) -> None:
        """8: a worker cannot reach one broker, which may lead its partitions; the group's coordinator is alive."""
        assert self.network is not None and self.kafka is not None
        host = self.random.choice(self.kafka.nodes).host
        self.network.cut_host(host)
        await asyncio.sleep(SESSION_SECONDS + 2.0)
        self.network.heal_host(host)

    async def slow_network(self) -> None:
        """9: a slow line between a worker and the brokers that loses packets."""
        assert self.network is not None
        self.network.slow()
        await asyncio.sleep(6.0)
        self.network.quick()


def wide_course() -> dict[str, Any]:
    """One segment with so many skills that no row can hold them."""
    names = [f"k{number}" for number in range(WIDE)]
    segment = {"id": "all", "skills": dict.fromkeys(names, 1.0), "repeatable": True}
    return {"id": "wide", "version": "1", "skills": [{"id": name} for name in names], "segments": [segment]}


BOTH = ("kill_worker", "kill_lessons", "kill_gateway", "kill_both", "stop_worker", "freeze_worker", "kill_store",
        "corrupt_row", "poison", "later_schema", "oversized_row")  # fmt: skip
KAFKA = ("store_forgets", "wipe_store", "kill_broker", "hang_broker", "kill_brokers", "add_worker", "remove_worker")
NETWORK = ("cut_worker", "cut_one_broker", "slow_network")
DISK = ("fill_disk", "kill_store_on_a_full_disk")


def faults_of(broker: str, *, network: bool, disk: bool) -> tuple[str, ...]:
    """The faults that can be injected there."""
    on_kafka = KAFKA + (NETWORK if network else ())
    return BOTH + (on_kafka if broker == "kafka" else ()) + (DISK if disk else ())


def _signal(child: Child, number: int) -> None:
    if child.process is not None and child.process.poll() is None:
        os.kill(child.process.pid, number)


@contextmanager
def stage(broker: str, folder: Path, random: Random, *, brokers: int = 3, network: bool = False,
          disk: bool = False) -> Iterator[Stage]:  # fmt: skip
    """Start everything; stop it at the end.

    `network`: one worker lives in a network namespace of its own; `disk`: the data have a file system of their own.
    """
    given: dict[str, Any] = {"data": folder / "d", "port": 0, "log_level": "error", "broker": broker}
    with ExitStack() as stack:
        kafka, net = None, None
        small = stack.enter_context(small_disk(folder / "d", DISK_SIZE)) if disk else None
        if broker == "kafka":
            net = stack.enter_context(Network.made(brokers)) if network else None
            kafka = LocalKafka(folder / "kafka", size=brokers, hosts=net.hosts if net else ())
            stack.callback(kafka.stop)
            kafka.start()
            name = f"ledger-{uuid4().hex[:6]}"
            given |= {"kafka": kafka.servers, "app": name, "topic_prefix": f"{name}.", "checkpoint_seconds": 3.0,
                      "replication": 3 if brokers >= 3 else 1}  # fmt: skip
        settings = Settings(**given)
        service = stack.enter_context(running_service(settings, 2 if broker == "kafka" else 1))
        if net is not None:
            child = service.workers[-1]
            child.prelude = net.enter
            _signal(child, signal.SIGTERM)
        settled = time.monotonic() + (6.0 if broker == "kafka" else 2.0)
        while time.monotonic() < settled:
            service.tend()
            time.sleep(0.2)
        yield Stage(service, settings, kafka, net, random, small)
