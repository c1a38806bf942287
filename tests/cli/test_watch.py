"""What a worker tells of its lanes, and that it stops telling of those that left."""

from __future__ import annotations

import asyncio

from prometheus_client import generate_latest

from agents.compute import Computed
from agents.ports import Advance
from cli.watch import LaneWatch
from runtime.clock import wall_clock
from runtime.tasks import cancel_all
from tests.agents.world import until


class Log:
    """A log whose every partition ends at 10."""

    async def end(self, partition: int) -> int:
        return 10


def series(name: str, partition: int) -> list[str]:
    lines = generate_latest().decode().splitlines()
    return [line for line in lines if line.startswith(name) and f'partition="{partition}"' in line]


async def test_the_lag_of_a_partition_that_moved_away_is_told_no_more() -> None:
    watch, beats = LaneWatch("group"), list[str]()

    async def beat(worker: str) -> None:
        beats.append(worker)

    for partition in (71, 72):
        watch.state(partition, "working")
        watch.moved(partition, Computed(Advance(4, 0, [], [], [])), wall_clock() - 2_000)
    watching = watch.watch(Log(), beat)  # type: ignore[arg-type]  # only `end` is asked for
    try:
        await until(lambda: bool(series("segue_lag_seconds", 72)), 10)
        assert beats
        (behind,) = series("kafka_consumergroup_lag", 71)
        assert behind.endswith(" 5.0")
        watch.state(71, "left")
        for name in ("kafka_consumergroup_lag", "segue_lag_seconds", "segue_lane_halted"):
            assert not series(name, 71) and series(name, 72)
    finally:
        await cancel_all(watching)


async def test_a_partition_that_has_not_moved_yet_has_a_lag_and_none_is_below_nothing() -> None:
    watch = LaneWatch("group")
    watch.state(73, "working")
    watch.stands(73, 6)
    watch.state(74, "working")
    watch.moved(74, Computed(Advance(4, 0, [], [], [])), wall_clock() + 3_600_000)
    watching = watch.watch(Log(), lambda _: asyncio.sleep(0))  # type: ignore[arg-type]  # only `end` is asked for
    try:
        await until(lambda: bool(series("segue_lag_seconds", 74)), 10)
        assert series("kafka_consumergroup_lag", 73)[0].endswith(" 3.0")
        assert series("segue_lag_seconds", 74)[0].endswith(" 0.0")
    finally:
        await cancel_all(watching)


async def test_a_worker_is_heard_of_while_the_log_does_not_answer() -> None:
    watch, beats = LaneWatch("group"), list[str]()

    class Silent:
        async def end(self, partition: int) -> int:
            return await asyncio.Event().wait()

    async def beat(worker: str) -> None:
        beats.append(worker)

    watch.state(73, "working")
    watch.moved(73, Computed(Advance(4, 0, [], [], [])), wall_clock())
    watching = watch.watch(Silent(), beat)  # type: ignore[arg-type]  # only `end` is asked for
    try:
        await until(lambda: len(beats) >= 3, 10)
    finally:
        await cancel_all(watching)
        watch.state(73, "left")
