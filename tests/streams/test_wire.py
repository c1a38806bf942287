"""One connection for many calls: answers reach who asked, and what is lost is said to be unknown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.errors import Misconfigured, Unavailable
from streams.engine import Engine
from streams.keys import PartitionKeys
from streams.wire import Scripts, Wire, xread


@pytest.fixture
async def wire(empty_valkey: Engine) -> AsyncIterator[Wire]:
    made = Wire(empty_valkey.url)
    yield made
    await made.aclose()


async def test_every_call_gets_its_own_answer(wire: Wire) -> None:
    answers = await asyncio.gather(*(wire.call("ECHO", str(number)) for number in range(200)))
    assert answers == [str(number).encode() for number in range(200)]


async def test_a_caller_that_gives_up_does_not_disturb_the_others(wire: Wire) -> None:
    asking = [asyncio.create_task(wire.call("ECHO", str(number))) for number in range(20)]
    await asyncio.sleep(0)
    asking[3].cancel()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, bytes)] == [b"%d" % n for n in range(20) if n != 3]


async def test_no_answer_in_time_is_an_unknown_outcome_and_the_next_call_connects_again(wire: Wire) -> None:
    with pytest.raises(Unavailable, match="in time"):
        await wire.call("BLPOP", "nothing", 0, patience=0.2)
    assert await wire.call("PING") == b"PONG"


async def test_a_lost_connection_fails_who_waits_and_heals(wire: Wire, empty_valkey: Engine) -> None:
    other = Wire(empty_valkey.url)
    name = await wire.call("CLIENT", "ID")
    waiting = asyncio.create_task(wire.call("BLPOP", "nothing", 0))
    await other.call("PING")
    await other.call("CLIENT", "KILL", "ID", name)
    with pytest.raises(Unavailable):
        await waiting
    assert await wire.call("PING") == b"PONG"
    await other.aclose()


async def test_scripts_survive_a_server_that_forgot_them(wire: Wire) -> None:
    scripts, keys = Scripts(wire), PartitionKeys.of(0)
    for _ in range(2):
        position, outbox = await scripts.run("look", [keys.state, keys.outbox], [])
        assert (position[0], outbox) == (None, [])
        await wire.call("SCRIPT", "FLUSH")


async def test_streams_are_waited_for(wire: Wire, empty_valkey: Engine) -> None:
    reader = Wire(empty_valkey.url)
    reading = asyncio.create_task(xread(reader, {"s": 0}, 10, 5.0))
    await wire.call("XADD", "s", "1-0", "k", "v")
    assert await reading == [[b"s", [[b"1-0", [b"k", b"v"]]]]]
    assert await xread(reader, {"s": 1}, 10, 0.01) == ()
    await reader.aclose()


async def test_nobody_there_and_nonsense_are_said_plainly() -> None:
    with pytest.raises(Unavailable):
        await Wire("unix:///nowhere/at/all.sock").call("PING")
    with pytest.raises(Misconfigured, match="SEGUE_REDIS_URL"):
        Wire("http://example.org")
