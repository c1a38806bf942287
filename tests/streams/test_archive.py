"""Old ranges of the standalone log move to files, and nobody who reads the log notices."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from cli.service import tended
from runtime.settings import Settings
from schemas import topics
from schemas.errors import Halt
from schemas.interaction import LogRecord, Outgoing
from simulator.client import Client
from streams import archive as archiving
from streams.archive import PIECE, Archive, Archiver
from streams.keys import PartitionKeys
from streams.standalone import StandaloneLog
from streams.wire import Wire
from tests.e2e.harness import Running, reader, until
from tests.factories import course_json
from tests.faults.stage import Stage, stage

COUNT = 2 * PIECE + 1_500
KEPT = 1_000


def out(number: int) -> Outgoing:
    return Outgoing(topics.INTERACTIONS, 0, b"k%d" % number, b"v%d" % number, (("schema", b"1"), ("kid", b"x")))


async def filled(client: Wire, archive: Archive) -> StandaloneLog:
    log = StandaloneLog(client, 1, archive)
    await log.append([out(n) for n in range(COUNT)])
    return log


def archiver(client: Wire, archive: Archive, needed: int = COUNT) -> Archiver:
    async def first_needed(topic: str, partition: int) -> int:
        return needed

    return Archiver(client, archive, 1, KEPT, first_needed)


async def whole(log: StandaloneLog, page: int = 700) -> list[LogRecord]:
    found: list[LogRecord] = []
    while records := await log.read(0, len(found), page):
        found += records
    return found


async def test_what_was_moved_is_read_as_before(client: Wire, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    log = await filled(client, archive)
    before = await whole(log)
    assert await archiver(client, archive).sweep() == 2 * PIECE
    assert int(await client.call("XLEN", PartitionKeys.of(0).topic(topics.INTERACTIONS))) == COUNT - 2 * PIECE
    assert await whole(log) == before and len(before) == COUNT
    assert [r.offset for r in await log.read(0, PIECE - 1, 5)] == [PIECE - 1], "a page ends with its file"
    assert (await log.begin(0), await log.end(0)) == (0, COUNT)
    assert list(await log.append([out(COUNT)])) == [COUNT]
    assert await archiver(client, archive).sweep() == 0, "there is nothing left to move"


async def test_what_somebody_has_to_read_stays_in_the_store(client: Wire, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    await filled(client, archive)
    assert await archiver(client, archive, needed=PIECE - 1).sweep() == 0
    assert await archiver(client, archive, needed=2 * PIECE - 1).sweep() == PIECE


async def test_a_death_between_keeping_and_taking_out_changes_nothing(client: Wire, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    log = await filled(client, archive)
    before = await whole(log)
    archive.put(topics.INTERACTIONS, 0, before[:PIECE])
    (kept,) = tmp_path.rglob("*.gz")
    (tmp_path / topics.INTERACTIONS / "0" / "00000000000000002000-00000000000000003999.new").write_bytes(b"half")
    written = kept.read_bytes()
    assert await whole(log) == before
    await archiver(client, archive).sweep()
    assert kept.read_bytes() == written and await whole(log) == before


async def test_a_disk_without_room_takes_nothing_out(client: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path)
    log = await filled(client, archive)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("streams.archive.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        await archiver(client, archive).sweep()
    assert int(await client.call("XLEN", PartitionKeys.of(0).topic(topics.INTERACTIONS))) == COUNT
    assert len(await whole(log)) == COUNT


async def test_a_damaged_file_is_said_to_be_damaged(client: Wire, tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    log = await filled(client, archive)
    await archiver(client, archive).sweep()
    path = min(tmp_path.rglob("*.gz"))
    path.write_bytes(path.read_bytes()[:-500])
    archiving._records.cache_clear()
    with pytest.raises(Halt, match="damaged"):
        await log.read(0, 10, 5)


@pytest.mark.slow
def test_a_service_moves_its_log_and_rebuilds_a_row_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_LOG_KEPT", str(KEPT))
    from random import Random

    def event(number: int) -> dict[str, object]:
        return {"id": str(uuid4()), "type": "answered", "learner": f"l{number % 40}", "course": "tiny", "segment": "a1",
                "item": f"i{number % 7}", "correct": number % 3 > 0, "latency_ms": 900 + number % 5_000}  # fmt: skip

    async def go(place: Stage) -> None:
        async with Client(place.service.url, place.service.key) as client:
            await client.publish(course_json())
            for start in range(0, 20_000, 200):
                await client.send([event(n) for n in range(start, start + 200)])
            await until(lambda: len(list((place.settings.data / "archive" / topics.INTERACTIONS).rglob("*.gz"))) >= 4)
            await place.corrupt_row()
            await client.send([event(n) for n in range(40)])
        async with reader(Running(place.service, place.settings)) as read:
            counts = await read.check()
        assert counts["applied"] == 20_040 and counts["decisions"] == 20_040

    with stage("standalone", tmp_path, Random(1)) as place:
        assert isinstance(place.settings, Settings) and place.settings.log_kept == KEPT
        asyncio.run(tended(place.service, go(place)))
