"""A run under fire: load, faults one after the other, then quiet, then the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from cli.service import tended
from simulator.client import Client
from tests.e2e.harness import Running, reader
from tests.faults.ledger import FOLLOWED, Ledger, Load, Probes, judge, recoveries
from tests.faults.stage import Stage, stage

CALM_SECONDS = 1.5
PROBE_PAUSE_SECONDS = 0.05


def under_fire(broker: str, folder: Path, faults: Sequence[str], *, rate: int = 200, seed: int = 1, brokers: int = 3,
               network: bool = False, disk: bool = False,
               told: Callable[[str], None] = print) -> dict[str, Any]:  # fmt: skip
    """Run `faults` in their order while events flow. Returns the counts of the contract."""
    with stage(broker, folder, Random(seed), brokers=brokers, network=network, disk=disk) as place:
        return asyncio.run(tended(place.service, _run(place, faults, rate, seed, told)))


async def _run(place: Stage, faults: Sequence[str], rate: int, seed: int, told: Callable[[str], None]) -> dict[str, Any]:
    ledger, stop = Ledger(), asyncio.Event()
    load = Load(place, ledger, rate, seed)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(place.service.url, place.service.key))
        await client.publish(load.course)
        probes = Probes(client, ledger, place.settings.partitions)
        followed = (*probes.learners, *(f"l{n}" for n in range(FOLLOWED)))
        opened = [asyncio.Event() for _ in followed]
        for learner, each in zip(followed, opened, strict=True):
            stack.callback(asyncio.create_task(probes.follow(learner, each)).cancel)
        await asyncio.gather(*(each.wait() for each in opened))
        posting = asyncio.create_task(load.run(stop))
        await probes.seconds()
        for number, fault in enumerate(faults, 1):
            seconds = await _hurt(place, probes, fault)
            ledger.recoveries[fault].append(seconds)
            told(f"  {number:>3} of {len(faults)}  {fault:16} decisions everywhere after {seconds:5.2f} s"
                 f"   {len(ledger.ok):>8,} accepted")  # fmt: skip
        await asyncio.sleep(CALM_SECONDS)
        stop.set()
        await posting
        told("Load stopped; reading log, topics and rows, and computing everything again in order ...")
        async with reader(Running(place.service, place.settings)) as read:
            counts = await judge(read, ledger, place.settings.partitions)
    joins = {"joins_without_share": place.joins_without_share} if place.kafka is not None else {}
    return counts | {"kills": len(faults)} | joins | recoveries(ledger)


async def _hurt(place: Stage, probes: Probes, fault: str) -> float:
    """Inject a fault while somebody waits for decisions all the time. The longest that anybody waited, in seconds."""
    await asyncio.sleep(CALM_SECONDS)
    injury = asyncio.create_task(getattr(place, fault)())
    await asyncio.sleep(0)
    longest = await probes.seconds()
    while not injury.done():
        longest = max(longest, await probes.seconds())
        await asyncio.wait([injury], timeout=PROBE_PAUSE_SECONDS)
    await injury
    return max(longest, await probes.seconds())
