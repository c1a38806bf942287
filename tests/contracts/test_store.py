"""What every LearnerStore must do: over memory, over Valkey with an outbox (Kafka) and over Valkey alone (standalone)."""

from __future__ import annotations

import pytest

from agents.ports import Advance, LearnerStore, LiveWrite, RowWrite, StoredRow
from schemas.errors import Halt
from schemas.interaction import Outgoing
from streams.keys import PartitionKeys
from streams.redis_view import RedisView
from streams.wire import Wire
from tests.fakes import MemoryStore

OUT = Outgoing("decisions", 0, b"key", b"value", (("schema", b"1"),))


@pytest.fixture(params=["memory", "valkey", "standalone"])
def store(request: pytest.FixtureRequest) -> LearnerStore:
    if request.param == "memory":
        return MemoryStore()
    client: Wire = request.getfixturevalue("client")
    return RedisView(client, 2, direct=request.param == "standalone")


def change(last: int, *, row: str = "r", packed: bytes = b"p", seq: int | None = None, emit: bool = True) -> Advance:
    number = seq if seq is not None else last + 1
    live = [LiveWrite(last, row, number, b"body%d" % number)]
    emitted = [OUT] if emit else []
    return Advance(last, 1000 + last, [RowWrite(row, packed, {0: b"chunk"})], live, emitted)


async def test_a_new_partition_has_nothing_applied(store: LearnerStore) -> None:
    look = await store.look(0)
    assert look.applied is None and not look.outbox
    assert await store.rows(0, -1, ["r"]) == [StoredRow(None, {})]


async def test_an_advance_moves_everything_at_once(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    look = await store.look(0)
    assert (look.applied, look.checksum) == (0, 1000)
    assert await store.rows(0, 0, ["r", "other"]) == [StoredRow(b"p", {0: b"chunk"}), StoredRow(None, {})]


async def test_an_advance_from_elsewhere_is_refused_and_writes_nothing(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    assert not await store.advance(0, -1, change(0, packed=b"other"))
    assert not await store.advance(0, 5, change(6, packed=b"other"))
    rows = await store.rows(0, 0, ["r"])
    assert rows is not None and rows[0].packed == b"p"


async def test_rows_are_refused_when_the_view_stands_elsewhere(store: LearnerStore) -> None:
    assert await store.rows(0, 3, ["r"]) is None


async def test_partitions_do_not_touch_each_other(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    assert (await store.look(1)).applied is None
    assert await store.rows(1, -1, ["r"]) == [StoredRow(None, {})]


async def test_chunks_of_ids_pile_up_by_slot(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    more = change(1)._replace(rows=[RowWrite("r", b"p2", {1: b"next"})])
    assert await store.advance(0, 0, more)
    assert await store.rows(0, 1, ["r"]) == [StoredRow(b"p2", {0: b"chunk", 1: b"next"})]


async def test_dirty_rows_are_told_until_they_are_clean(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    assert await store.dirty(0, 7) is None
    dirty = await store.dirty(0, 0)
    assert dirty is not None and dict(dirty.rows) == {"r": StoredRow(b"p", {0: b"chunk"})} and dirty.marks == {"r": 0}
    assert await store.advance(0, 0, change(1))
    await store.clean(0, dirty.marks)
    again = await store.dirty(0, 1)
    assert again is not None and again.marks == {"r": 1}, "a newer mark must survive"
    await store.clean(0, again.marks)
    clean = await store.dirty(0, 1)
    assert clean is not None and not clean.rows


async def test_many_dirty_rows_are_all_told(store: LearnerStore) -> None:
    rows = {f"row{n}": StoredRow(b"packed%d" % n, {n % 3: b"c%d" % n}) for n in range(1_000)}
    told = [RowWrite(key, row.packed or b"", row.chunks) for key, row in rows.items()]
    assert await store.advance(0, -1, Advance(0, 7, told, [], []))
    dirty = await store.dirty(0, 0)
    assert dirty is not None and dict(dirty.rows) == rows and dict(dirty.marks) == dict.fromkeys(rows, 0)


async def test_a_replaced_partition_holds_the_given_rows_only(store: LearnerStore) -> None:
    assert await store.advance(0, -1, change(0))
    assert await store.advance(0, 0, change(1, row="gone"))
    given = {f"row{n}": StoredRow(b"packed%d" % n, {0: b"c%d" % n}) for n in range(600)}
    await store.replace(0, 9, 99, given, {"row1": 4})
    assert (await store.look(0))[:2] == (9, 99)
    assert await store.rows(0, 9, ["row1", "row599", "gone", "r"]) == [
        given["row1"], given["row599"], StoredRow(None, {}), StoredRow(None, {})]  # fmt: skip
    assert await store.advance(0, 9, change(10, row="row1", seq=5))


class TestOutbox:
    """Only where topics are elsewhere."""

    @pytest.fixture(params=["memory", "valkey"])
    def store(self, request: pytest.FixtureRequest) -> LearnerStore:
        return MemoryStore() if request.param == "memory" else RedisView(request.getfixturevalue("client"), 2, direct=False)

    async def test_what_is_emitted_waits_in_order_of_offset_until_it_is_sent(self, store: LearnerStore) -> None:
        for offset in range(12):
            assert await store.advance(0, offset - 1, change(offset))
        look = await store.look(0)
        assert look.outbox == [(n, [OUT]) for n in range(12)]
        await store.sent(0, range(11))
        assert (await store.look(0)).outbox == [(11, [OUT])]

    async def test_what_an_older_release_left_halts_the_partition(self, client: Wire) -> None:
        """It named its entries otherwise."""
        await client.call("HSET", PartitionKeys.of(0).outbox, "3:decisions", b"x")
        with pytest.raises(Halt, match="older release"):
            await RedisView(client, 2, direct=False).look(0)
