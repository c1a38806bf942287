"""The fallback at a deadline: marked, unnumbered, and never what would break a prerequisite or repeat the last step."""

from __future__ import annotations

from typing import Any, cast

from delivery.hub import Hub
from delivery.ingest import Accepted
from delivery.ports import LiveView, Published
from delivery.waiting import decision_for
from schemas.codec import decode_decision, encode_json
from schemas.decision import Decision, LiveEntry
from tests.factories import course, interaction
from tests.models.test_laws import run


class NeverDecided:
    """A hub whose workers are too slow."""

    async def decided_at(self, partition: int, offset: int, seconds: float) -> LiveEntry | None:
        return None


class Latest:
    """A view that has one last decision, and no tails."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body

    async def latest(self, partition: int, row: str) -> bytes | None:
        return self.body


class Shelf:
    """One published course."""

    def newest_course(self, tenant: str, name: str) -> Any:
        return course()


async def fallback(latest: bytes | None, **fields: Any) -> Decision:
    said = interaction(1, **fields)
    accepted = Accepted(said.event, 0, 0, said.key)
    hub, view, shelf = cast("Hub", NeverDecided()), cast("LiveView", Latest(latest)), cast("Published", Shelf())
    body = await decision_for(accepted, 1, hub, view, shelf, 5)
    assert body is not None
    return decode_decision(body)


async def test_without_any_decision_it_is_the_first_open_segment_but_not_the_one_just_answered() -> None:
    told = await fallback(None)
    assert (told.fallback, told.seq, told.segment, told.propensity) == (True, None, "a2", 1.0)


async def test_it_is_the_authored_next_one_that_the_last_decision_named() -> None:
    last = decode_decision(cast("bytes", run([{"segment": "a1"}])[-1].decision))
    body = encode_json({**{name: getattr(last, name) for name in last.__struct_fields__}, "next_authored": "b2"})
    told = await fallback(body)
    assert (told.segment, told.format, told.seq, told.predicted) == ("b2", "text", None, None)


async def test_an_event_that_asks_for_nothing_gets_none() -> None:
    said = interaction(1, type="rendered", item=None, correct=None, latency_ms=None)
    hub, view, shelf = cast("Hub", NeverDecided()), cast("LiveView", Latest(None)), cast("Published", Shelf())
    assert await decision_for(Accepted(said.event, 0, 0, said.key), 1, hub, view, shelf, 5) is None


async def test_an_event_that_was_worked_on_and_brought_nothing_gets_no_fallback() -> None:
    """It was rejected by its lane: a fallback would say that something is on its way."""
    said = interaction(1)

    class Rejected:
        async def decided_at(self, partition: int, offset: int, seconds: float) -> LiveEntry | None:
            return LiveEntry(partition=0, offset=0, row=said.key, seq=0, body=None)

    hub, view, shelf = cast("Hub", Rejected()), cast("LiveView", Latest(None)), cast("Published", Shelf())
    assert await decision_for(Accepted(said.event, 0, 0, said.key), 1, hub, view, shelf, 5) is None


class SomebodyElses:
    """A hub that remembers an offset of a log that lost its end since, and gave it to another event."""

    async def decided_at(self, partition: int, offset: int, seconds: float) -> LiveEntry:
        return LiveEntry(partition=0, offset=0, row="default/tiny/1/somebody-else", seq=7, body=b"not yours")


async def test_nobody_is_answered_with_the_decision_of_another_row() -> None:
    said = interaction(1)
    view, shelf = cast("LiveView", Latest(None)), cast("Published", Shelf())
    body = await decision_for(Accepted(said.event, 0, 0, said.key), 1, cast("Hub", SomebodyElses()), view, shelf, 5)
    assert body is not None and decode_decision(body).fallback
