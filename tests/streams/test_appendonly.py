"""Nothing that was acknowledged falls out of the append-only file, whatever the disk does meanwhile."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from schemas.errors import Unavailable
from streams import appendonly
from streams.engine import Engine
from streams.keys import EPOCH
from streams.wire import PASSING

DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int is_log(int fd) {
    char link[64], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, sizeof name);
    return length > 9 && !memcmp(name + length - 9, ".incr.aof", 9);
}
static int slow(void) {
    if (!access(getenv("SLOW"), F_OK)) usleep(600000);
    return 0;
}
int fsync(int fd) { return slow(); }
int fdatasync(int fd) { return slow(); }
ssize_t write(int fd, const void *from, size_t size) {
    static ssize_t (*really)(int, const void *, size_t);
    if (!really) really = dlsym(RTLD_NEXT, "write");
    if (!is_log(fd) || access(getenv("FULL"), F_OK)) return really(fd, from, size);
    static int rest;
    if ((rest = !rest) && size > 1) return really(fd, from, size / 2);
    errno = ENOSPC;
    return -1;
}
"""
"""A disk whose syncs are slow while a file SLOW is there, and that takes half of what is written while FULL is there."""


class Disk:
    """An engine on a disk that can be made slow or full."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow, self.full = folder / "slow", folder / "full"
        source, library = folder / "disk.c", folder / "disk.so"
        source.write_text(DISK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
        for name, value in (("LD_PRELOAD", library), ("SLOW", self.slow), ("FULL", self.full)):
            monkeypatch.setenv(name, str(value))
        self.engine = Engine(folder / "data")
        self.engine.start()
        self.client = redis.Redis.from_url(self.engine.url)

    def write(self, seconds: float) -> set[bytes]:
        """What was acknowledged of a stream of writes."""
        acknowledged: set[bytes] = set()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                acknowledged.add(self.client.xadd("log", {"value": "x" * 200}))
            except redis.RedisError:
                time.sleep(0.01)
        return acknowledged

    def killed_and_started(self) -> set[bytes]:
        """Kill -9, start again, and what is in the log then."""
        kill(self.engine)
        self.engine.tend()
        return {entry for entry, _ in self.client.xrange("log")}

    def rewrite(self) -> None:
        self.engine.keeper.rewrite()
        while self.client.info("persistence")["aof_rewrite_in_progress"]:
            time.sleep(0.01)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path, monkeypatch)
    yield made
    made.client.close()
    made.engine.stop()


def test_a_kill_while_the_disk_syncs_loses_nothing(disk: Disk) -> None:
    disk.slow.touch()
    acknowledged: set[bytes] = set()
    for seconds in (1.2, 1.3, 1.4):
        acknowledged |= disk.write(seconds)
        assert acknowledged <= disk.killed_and_started()


def test_a_disk_that_was_full_after_a_rewrite_loses_nothing(disk: Disk) -> None:
    acknowledged = disk.write(0.1)
    disk.rewrite()
    for _ in range(2):
        acknowledged |= disk.write(0.1)
        disk.full.touch()
        acknowledged |= disk.write(0.2)
        disk.full.unlink()
        acknowledged |= disk.write(1.2)
    assert acknowledged <= disk.killed_and_started()


def test_where_the_flag_cannot_be_set_a_full_disk_ends_the_server_with_a_whole_file(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appendonly, "_set_append", lambda process: False)
    acknowledged = disk.write(0.1)
    disk.rewrite()
    assert disk.client.config_get("appendfsync") == {"appendfsync": "always"}
    disk.full.touch()
    acknowledged |= disk.write(0.2)
    assert disk.engine.process is not None and disk.engine.process.wait(timeout=10) == 1
    disk.full.unlink()
    assert disk.engine.tend()
    assert acknowledged <= {entry for entry, _ in disk.client.xrange("log")}
    assert disk.client.config_get("appendfsync") == {"appendfsync": "no"}


def test_the_file_is_written_anew_when_it_has_grown(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        disk.client.set("key", b"x" * 100_000)
    disk.engine.keeper.rewrite_if_grown()
    assert disk.client.info("persistence")["aof_rewrites"] == 0, "not before it is large"
    monkeypatch.setattr(appendonly, "REWRITE_FROM", 200_000)
    disk.engine.keeper.rewrite_if_grown()
    while disk.client.info("persistence")["aof_rewrites"] == 0 or disk.client.info("persistence")["aof_rewrite_in_progress"]:
        time.sleep(0.01)
    assert disk.client.info("persistence")["aof_current_size"] < 200_000
    process = disk.client.info("server")["process_id"]
    flags = [
        int((Path(f"/proc/{process}/fdinfo") / entry.name).read_text().split("flags:")[1].split()[0], 8)
        for entry in Path(f"/proc/{process}/fd").iterdir()
        if appendonly._is_incremental(entry)
    ]
    assert flags and all(flag & os.O_APPEND for flag in flags)


def test_a_file_closed_while_it_is_looked_at_is_not_taken_for_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valkey closes the file it wrote before in a thread of its own, at any time after it began the new one."""
    kept, closed = (os.open(tmp_path / f"{n}.incr.aof", os.O_CREAT | os.O_WRONLY) for n in (1, 2))
    set_append = appendonly._set_append_at

    def close_first(pidfd: int, number: int) -> None:
        if number == closed and appendonly._is_incremental(Path(f"/proc/self/fd/{closed}")):
            os.close(closed)
        set_append(pidfd, number)

    monkeypatch.setattr(appendonly, "_set_append_at", close_first)
    try:
        assert appendonly._set_append(os.getpid())
        assert fcntl.fcntl(kept, fcntl.F_GETFL) & os.O_APPEND
        assert not Path(f"/proc/self/fd/{closed}").exists()
    finally:
        os.close(kept)
    assert not appendonly._set_append(os.getpid()), "no such file is no success"


def test_a_disk_that_does_not_sync_is_said(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    keeper = appendonly.Keeper(disk.engine.data, disk.engine.url, durable=False)
    monkeypatch.setattr(appendonly, "SYNC_SECONDS", 0.01)
    keeper.start()
    while keeper.fault is None:
        time.sleep(0.01)
    keeper.stop()
    disk.engine.keeper.fault = keeper.fault
    with pytest.raises(Unavailable, match="Input/output error"):
        disk.engine.tend()
    disk.engine.keeper.fault = None
    monkeypatch.undo()


@contextmanager
def started(folder: Path) -> Iterator[tuple[Engine, redis.Redis]]:
    engine = Engine(folder)
    engine.start()
    try:
        with redis.Redis.from_url(engine.url) as client:
            yield engine, client
    finally:
        engine.stop()


def kill(engine: Engine) -> None:
    assert engine.process is not None
    engine.process.kill()
    engine.process.wait()


def refused(client: redis.Redis, script: bool) -> bool:
    try:
        client.eval("return redis.call('SET', KEYS[1], '1')", 1, "key") if script else client.set("key", "1")
    except redis.ResponseError as fault:
        assert str(fault).startswith(PASSING), fault
        return True
    return False


def test_where_no_room_can_be_reserved_writes_are_refused_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [True]
    monkeypatch.setattr(appendonly, "_allocated", lambda file, offset, size: room[0])
    with started(tmp_path) as (engine, client):
        for there in (True, False, False, True):
            room[0] = there
            engine.keeper.reserve()
            assert [refused(client, script) for script in (False, True)] == [not there] * 2
        room[0] = False
        engine.keeper.reserve()
        kill(engine)
        assert engine.tend() and refused(client, script=False), "a server that was started again refuses, too"
        room[0] = True
        engine.keeper.reserve()
        assert not refused(client, script=False)


def test_room_is_reserved_without_making_the_file_longer(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert appendonly._reserved(file)
    assert file.stat().st_size == 100
    assert file.stat().st_blocks * 512 >= appendonly.RESERVED or not hasattr(os, "posix_fallocate")


def test_a_server_that_ended_short_of_room_begins_an_epoch(disk: Disk) -> None:
    epoch = int(disk.client.get(EPOCH) or 0)
    disk.full.touch()
    disk.write(0.2)
    disk.engine.keeper.rewrite_if_grown()
    assert not disk.engine.keeper.whole
    disk.full.unlink()
    disk.killed_and_started()
    assert int(disk.client.get(EPOCH) or 0) == epoch + 1 and disk.engine.keeper.whole
