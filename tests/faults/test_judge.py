"""The ledger's judge sees what it is there for: each violation, planted by hand in a small true world, is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import json

from schemas import topics
from schemas.interaction import LogRecord
from tests.factories import event_id, interaction, outgoing, publish
from tests.fakes import MemoryLog, MemoryShared
from tests.faults.ledger import Ledger, _hash, judge
from tests.reference import Reference, reference_run

EVENTS = 6


@dataclass
class World:
    """What a reader finds, and what clients were told."""

    log: MemoryLog
    shared: MemoryShared
    pure: Reference
    ledger: Ledger
    decisions: list[tuple[int, LogRecord]]
    rows: dict[str, bytes]
    rejects: list[tuple[int, LogRecord]] = field(default_factory=list)

    async def settled(self) -> None: ...

    async def topic(self, name: str) -> list[tuple[int, LogRecord]]:
        return {topics.DECISIONS: self.decisions, topics.REJECTS: self.rejects}.get(name, [])

    async def row(self, key: str) -> bytes | None:
        return self.rows.get(key)


async def world() -> World:
    """Six events, all answered with 202, all applied once, all decisions told."""
    log, shared = MemoryLog(), MemoryShared()
    await publish(shared)
    await log.append([outgoing(interaction(n)) for n in range(EVENTS)])
    pure = await reference_run(log, shared, 1)
    ledger = Ledger(ok={str(event_id(n)) for n in range(EVENTS)})
    told = [(f"{row}/{seq}", body) for (row, seq), body in pure.decisions.items()]
    for (row, seq), body in pure.decisions.items():
        ledger.told[row, seq].add(_hash(json.encode(json.decode(body))))
    decisions = [(0, LogRecord(n, key.encode(), body)) for n, (key, body) in enumerate(told)]
    return World(log, shared, pure, ledger, decisions, dict(pure.rows))


def lose_an_event(place: World) -> None:
    place.ledger.ok.add("00000000-0000-0000-0000-000000000000")


def lose_a_decision(place: World) -> None:
    del place.decisions[2]


def tell_two_stories(place: World) -> None:
    place.decisions.append((0, LogRecord(99, place.decisions[1][1].key, b'{"another": "story"}')))


def tell_a_subscriber_another_story(place: World) -> None:
    row, seq = next(iter(place.pure.decisions))
    place.ledger.told[row, seq].add(b"another")


def change_a_row(place: World) -> None:
    key = next(iter(place.rows))
    place.rows[key] = place.rows[key][:-1] + b"!"


def lose_a_row(place: World) -> None:
    place.rows.clear()


def apply_what_nobody_sent(place: World) -> None:
    place.ledger.ok.discard(str(event_id(3)))


def reject_what_was_not_to_be(place: World) -> None:
    place.rejects.append((0, LogRecord(0, b"", b"rejected")))


VIOLATIONS: list[tuple[Callable[[World], None], str]] = [
    (lose_an_event, "lost"), (lose_a_decision, "gaps"), (tell_two_stories, "conflicts"),
    (tell_a_subscriber_another_story, "conflicts"), (change_a_row, "rows_differ"), (lose_a_row, "rows_differ"),
    (apply_what_nobody_sent, "phantom"), (reject_what_was_not_to_be, "lost"),
]  # fmt: skip
COUNTS = ("lost", "double", "phantom", "gaps", "conflicts", "rows_differ")


async def judged(place: World) -> dict[str, Any]:
    return await judge(place, place.ledger, 1)  # type: ignore[arg-type]


async def test_a_clean_run_is_clean() -> None:
    found = await judged(await world())
    assert [found[name] for name in COUNTS] == [0] * len(COUNTS)
    assert (found["accepted"], found["decisions"], found["decisions_seen_by_subscribers"]) == (EVENTS, EVENTS, EVENTS)


@pytest.mark.parametrize(("plant", "count"), VIOLATIONS, ids=lambda each: getattr(each, "__name__", str(each)))
async def test_a_violation_is_counted(plant: Callable[[World], None], count: str) -> None:
    place = await world()
    plant(place)
    assert (await judged(place))[count] >= 1
