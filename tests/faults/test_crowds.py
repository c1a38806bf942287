"""Rows 20 to 23 of the fault matrix: a hot learner, readers who do not read, ten thousand streams, a herd that comes back.

Latencies are only compared with others of the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any
from uuid import uuid4

import pytest

from benchmarks.lean import LeanClient
from cli.process import allow_many_streams
from cli.service import Service, tended
from simulator.client import Client
from simulator.scores import percentile
from streams.kafka.local import missing_tools
from tests.e2e.harness import kill, until
from tests.factories import course_json
from tests.faults.stage import stage
from tests.require import need

ALL = os.environ.get("SEGUE_FAULTS") == "all"
OTHERS = 20
RATE, TOGETHER = 300, 10


def answer(learner: str) -> dict[str, Any]:
    return {"id": str(uuid4()), "type": "answered", "learner": learner, "course": "tiny", "segment": "a1", "item": "i",
            "correct": True, "latency_ms": 900}  # fmt: skip


def path_of(learner: str) -> str:
    return f"/.well-known/mercure?match=/courses/tiny/learners/{learner}/decisions"


@asynccontextmanager
async def lean(service: Service) -> AsyncIterator[LeanClient]:
    async with Client(service.url, service.key) as publisher:
        course = course_json()
        segments = [{**each, "repeatable": True, "compulsory": False} for each in course["segments"]]
        await publisher.publish({**course, "segments": segments})
    client = LeanClient(service.url, service.key)
    yield client
    client.close()


class Watched:
    """Learners whose decisions are timed: from POST to the decision by SSE, all of them exactly once."""

    def __init__(self, client: LeanClient) -> None:
        self._client = client
        self._sent: dict[str, float] = {}
        self._seqs: dict[str, list[int]] = defaultdict(list)
        self.latencies_ms: list[float] = []

    async def follow(self, learners: Sequence[str]) -> None:
        for learner in learners:
            await self._client.follow(path_of(learner), self._told)

    def _told(self, body: bytes) -> None:
        decision = json.loads(body)
        self._seqs[decision["learner"]].append(decision["seq"])
        start = self._sent.pop(decision["for_event"], None)
        if start is not None:
            self.latencies_ms.append((time.perf_counter() - start) * 1000)

    async def load(self, watched: Sequence[str], unwatched: Sequence[str], seconds: float) -> float:
        """Half of the events are of `watched`, half of `unwatched`, at a steady rate. The p99 of the former."""
        random, start = Random(1), time.perf_counter()
        self.latencies_ms.clear()
        for number in range(int(RATE * seconds / TOGETHER)):
            await asyncio.sleep(max(0.0, start + number * TOGETHER / RATE - time.perf_counter()))
            events = [answer(random.choice((watched, unwatched)[n % 2])) for n in range(TOGETHER)]
            self._sent |= {each["id"]: time.perf_counter() for each in events[::2]}
            await self._client.post(json.dumps(events).encode())
        await until(lambda: not self._sent)
        return percentile(self.latencies_ms, 0.99) or 0.0

    def check(self) -> None:
        """Everybody was told everything once, in order."""
        assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in self._seqs.values())


class Stream:
    """One adaptation topic over a plain connection: what was told, the cursor, and the wait that the gateway asks for."""

    def __init__(self, service: Service, learner: str) -> None:
        self._service = service
        self.learner = learner
        self.cursor, self.retry_ms, self.seqs, self.gaps, self.opened = "", 0, list[int](), 0, 0

    async def read(self) -> None:
        """Until the connection ends. Raises OSError when there is none to be had."""
        host, port = self._service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(self.request())
            while line := (await reader.readline()).decode().strip():
                if line.startswith("HTTP/1.1") and " 200 " not in line:
                    raise ConnectionError(line)
                self.gaps += line.lower() == "mercure-last-event-id: gap"
            while line := (await reader.readline()).decode():
                name, _, value = line.strip().partition(": ")
                if name == "id":
                    self.cursor = value
                elif name == "retry":
                    self.retry_ms, self.opened = int(value), self.opened + 1
                elif name == "event" and value == "gap":
                    self.gaps += 1
                elif name == "data" and value.startswith("{"):
                    self.seqs.append(json.loads(value)["seq"])
        finally:
            writer.close()

    async def follow(self) -> None:
        """For ever, coming back after the wait that was asked for."""
        while True:
            try:
                await self.read()
            except OSError:
                await asyncio.sleep(0.2)
                continue
            await asyncio.sleep(self.retry_ms / 1000)

    def request(self) -> bytes:
        last = f"Last-Event-ID: {self.cursor}\r\n" if self.cursor else ""
        return (f"GET {path_of(self.learner)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._service.key}\r\n{last}\r\n"
                ).encode()  # fmt: skip


@pytest.mark.slow
def test_a_herd_comes_back_by_and_by_and_misses_nothing(tmp_path: Path) -> None:
    count = 2_000 if ALL else 200
    allow_many_streams()

    async def go() -> float:
        async with lean(place.service) as client:
            streams = [Stream(place.service, f"l{n}") for n in range(count)]
            following = [asyncio.create_task(each.follow()) for each in streams]
            await until(lambda: all(each.opened for each in streams))
            for start in range(0, count, 500):
                events = [answer(each.learner) for each in streams[start : start + 500]]
                await client.post(json.dumps(events).encode())
            kill(place.gateway)  # some have been told by now, and some have not
            killed = time.monotonic()
            await until(lambda: all(each.opened >= 2 for each in streams), 90)
            seconds = time.monotonic() - killed
            await until(lambda: all(each.seqs for each in streams))
            assert all(each.seqs == [1] and not each.gaps for each in streams)
            assert len({each.retry_ms for each in streams}) > count // 20, "they are not asked to come at one moment"
            for task in following:
                task.cancel()
            return seconds

    with stage("standalone", tmp_path, Random(1)) as place:
        print(f"{count} streams were open again {asyncio.run(tended(place.service, go())):.1f} s after a kill -9")


if ALL:

    @pytest.mark.parametrize("broker", ["standalone", pytest.param("kafka", marks=pytest.mark.kafka)])
    def test_a_hot_learner_does_not_slow_the_others(tmp_path: Path, broker: str) -> None:
        if broker == "kafka":
            need("kafka", missing_tools())

        async def go() -> list[float]:
            async with lean(place.service) as client:
                watched, others = Watched(client), [f"l{n}" for n in range(OTHERS)]
                await watched.follow(others)
                await watched.load(others, ["hot"], 3.0)
                ratios = []
                for _ in range(5):
                    calm = await watched.load(others, [f"m{n}" for n in range(OTHERS)], 4.0)
                    ratios.append(await watched.load(others, ["hot"], 4.0) / calm)
                watched.check()
                return ratios

        with stage(broker, tmp_path, Random(1), brokers=1) as place:
            ratios = asyncio.run(tended(place.service, go()))
        print(f"{broker}: p99 of the others with a hot learner over without: {[round(each, 2) for each in ratios]}")
        assert median(ratios) <= 2.0

    def test_readers_who_do_not_read_are_cut_off_and_can_come_back(tmp_path: Path) -> None:
        async def go() -> list[float]:
            async with lean(place.service) as client:
                watched, others = Watched(client), [f"l{n}" for n in range(OTHERS)]
                await watched.follow(others)
                for _ in range(100):
                    await client.follow(path_of("read"), lambda body: None)
                reading = [await watched.load(others, ["read"], 4.0) for _ in range(3)]
                slow = [_not_reading(place.service, Stream(place.service, "unread")) for _ in range(100)]
                unread = [await watched.load(others, ["unread"], 4.0) for _ in range(6)]
                watched.check()
                cursors = await asyncio.gather(*(asyncio.to_thread(_until_cut_off, each) for each in slow))
                back = Stream(place.service, "unread")
                back.cursor = cursors[0]
                coming = asyncio.create_task(back.read())
                await until(lambda: back.opened)
                await client.post(json.dumps(answer("unread")).encode())
                await until(lambda: back.seqs)
                coming.cancel()
                assert back.gaps or back.seqs[0] == 1 + _newest(cursors[0]), "what it missed is told, or that it is missing"
                return [each / median(reading) for each in unread]

        with stage("standalone", tmp_path, Random(1)) as place:
            ratios = asyncio.run(tended(place.service, go()))
        print(f"p99 of the others with 100 who do not read over 100 who do: {[round(each, 2) for each in ratios]}")
        assert median(ratios) <= 2.0

    def test_ten_thousand_streams_are_told_everything_once(tmp_path: Path) -> None:
        allow_many_streams()

        async def go() -> None:
            async with lean(place.service) as client:
                watched, everybody = Watched(client), [f"l{n}" for n in range(10_000)]
                await watched.follow(everybody)
                for _ in range(2):
                    for start in range(0, len(everybody), 200):
                        events = [answer(each) for each in everybody[start : start + 200]]
                        watched._sent |= {each["id"]: time.perf_counter() for each in events}
                        await client.post(json.dumps(events).encode())
                await until(lambda: not watched._sent, 120)
                watched.check()
                assert {len(seqs) for seqs in watched._seqs.values()} == {2} and len(watched._seqs) == 10_000

        with stage("standalone", tmp_path, Random(1)) as place:
            asyncio.run(tended(place.service, go()))


def _not_reading(service: Service, stream: Stream) -> socket.socket:
    """A connection that asks for a stream and then reads nothing."""
    host, port = service.url.removeprefix("http://").split(":")
    sleeping = socket.socket()
    sleeping.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sleeping.connect((host, int(port)))
    sleeping.sendall(stream.request())
    return sleeping


def _until_cut_off(sleeping: socket.socket) -> str:
    """Read what was left in the system's hands until the end. The last whole cursor."""
    sleeping.settimeout(60)
    whole = b""
    try:
        while read := sleeping.recv(65_536):
            whole += read
    except ConnectionResetError:
        pass
    finally:
        sleeping.close()
    cursors = [line.removeprefix(b"id: ").strip() for line in whole.split(b"\n")[:-1] if line.startswith(b"id: ")]
    return cursors[-1].decode()


def _newest(cursor: str) -> int:
    from delivery.session import read_cursor

    told, _ = read_cursor(cursor)
    return max(told.values())
