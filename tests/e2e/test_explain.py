"""Stored decisions, computed again from what a service stored: bit for bit, by the library and by the command."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.books import TopicBooks
from agents.recompute import Stored, find, recompute
from schemas import topics
from schemas.codec import decode_decision, decode_interaction
from schemas.errors import Rejection
from schemas.interaction import LogRecord
from streams.kafka.local import LocalKafka
from tests.e2e.harness import Reader, Running, reader, running
from tests.e2e.test_replay import broker, replay

__all__ = ["broker"]
PARTITIONED = 500


async def answered(read: Reader, partitions: int) -> dict[str, tuple[int, LogRecord]]:
    """The first record of the log for each event id, with its partition."""
    found: dict[str, tuple[int, LogRecord]] = {}
    for partition in range(partitions):
        offset = 0
        while page := await read.log.read(partition, offset, PARTITIONED):
            for record in page:
                found.setdefault(str(decode_interaction(record).event.id), (partition, record))
            offset = page[-1].offset + 1
    return found


async def test_a_thousand_stored_decisions_are_computed_again_bit_for_bit(tmp_path: Path, broker: LocalKafka | None) -> None:
    with running(tmp_path, broker) as place:
        await replay(place, learners=25, answers=40)
        async with reader(place) as read:
            await read.settled()
            said = await answered(read, place.settings.partitions)
            books = TopicBooks(read.shared)
            await books.tail.start()
            stored = [each for _, each in await read.topic(topics.DECISIONS)]
            try:
                for record in stored:
                    decision = decode_decision(record.value)
                    partition, event = said[decision.for_event]
                    one = Stored(record, decision, decode_interaction(event), event.offset, partition)
                    assert (await recompute(one, books)).outcome.decision == record.value, decision.id
                assert len(stored) >= 1_000
                await other_engines_and_rows_are_not_guessed(one, books)
            finally:
                await books.tail.stop()
        await asyncio.to_thread(the_command_says_so, place, decision.id)


async def other_engines_and_rows_are_not_guessed(one: Stored, books: TopicBooks) -> None:
    with pytest.raises(Rejection, match="Engine 1 made this"):
        await recompute(replace_decision(one, engine=1), books)
    without_row = Stored(one.record._replace(headers=()), one.decision, one.said, one.offset, one.partition)
    assert (await recompute(without_row, books)).outcome.decision != one.record.value


def replace_decision(one: Stored, **fields: int) -> Stored:
    return Stored(one.record, replace(one.decision, **fields), one.said, one.offset, one.partition)


def the_command_says_so(place: Running, name: str) -> None:
    environment = {"SEGUE_DATA": str(place.settings.data), "SEGUE_PARTITIONS": str(place.settings.partitions)}
    if place.settings.broker == "kafka":
        environment |= {
            "SEGUE_BROKER": "kafka", "SEGUE_KAFKA": place.settings.kafka, "SEGUE_APP": place.settings.app,
            "SEGUE_TOPIC_PREFIX": place.settings.topic_prefix, "SEGUE_REDIS_URL": place.redis_url,
        }  # fmt: skip

    def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli.main", "explain", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60
        )

    told = ran(name, "--replay", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["recomputed_bit_for_bit"] is True and found["id"] == name and found["why"]
    assert all(belief["terms"] and 0.0 < belief["mastery"] < 1.0 for belief in found["mastery"])
    in_words = ran(name, "--replay")
    assert in_words.returncode == 0 and "Recomputed bit for bit." in in_words.stdout and "propensity" in in_words.stdout
    for wrong, said in (("nonsense", "no decision id"), (f"{name}99", "There is no decision")):
        refused = ran(wrong)
        assert refused.returncode == 2 and said in refused.stderr


async def test_looking_for_a_decision_reads_page_by_page() -> None:
    class Nothing:
        async def begin(self, partition: int) -> int:
            return 0

        async def read(self, partition: int, start: int, limit: int) -> list[LogRecord]:
            return []

    with pytest.raises(Rejection, match="any more"):
        await find("default/tiny/1/ana/1", Nothing(), Nothing(), 4)
