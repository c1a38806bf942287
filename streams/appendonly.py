"""The care of the embedded engine's append-only file, which is the log of a standalone service.

Valkey would sync it every second and write it anew when it has grown, each with a hole through which events that were
acknowledged can fall (docs/decisions/0021, 0032):

- While its own sync runs (`appendfsync everysec`) it keeps writes in memory and answers all the same: kill -9 loses them. So
  the server syncs nothing, every write is with the kernel before its answer, and a thread here syncs.
- The file it begins when it writes anew is not opened with O_APPEND. A write that a full disk cut short is taken back, the
  next one goes behind where it was, and the zeros between make the server refuse the file. So the flag is set from here, and
  until it is, the server runs with `appendfsync always`, under which it ends at a write cut short, with a whole file.
- A write that meets a full disk has been answered when Valkey notices: if it is killed before there is room again, it is
  gone. So room is reserved at the end of the file, ahead of what is written; where there is none to reserve, writes are
  refused.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Any

import redis

from runtime.logging import logger
from schemas.errors import Unavailable

log = logger("segue.engine")

SYNC_SECONDS = 1.0
LOOK_SECONDS = 0.2
RESERVED = 16 << 20
"""Bytes of room kept at the end of the file: four times what a service writes between two looks, flat out."""
REWRITE_FROM = 256 << 20
"""Bytes. Writing anew slows whoever waits for a decision, and a busy service fills Valkey's default of 64 MB in 15 s."""
REWRITE_GROWTH = 2.0
"""Times what the last rewrite left."""
RETRY_SECONDS = 60.0
KEEP_SIZE = 1
"""For Linux' fallocate: room, and the file as long as it was."""
UNABLE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
PIDFD_GETFD = 438
"""The number of the system call, the same on every architecture of Linux."""


def policy(*, durable: bool) -> str:
    """The `appendfsync` under which a server starts."""
    return "always" if durable else "no"


class Keeper:
    """Keeps one folder's append-only file while a server writes it. `fault` is what ended it, if something did; `whole`
    whether the server last said that all of its writes are in the file."""

    def __init__(self, data: Path, url: str, *, durable: bool) -> None:
        self._folder = data / "appendonlydir"
        self._client = redis.Redis.from_url(url, socket_timeout=10.0)
        self._policy = policy(durable=durable)
        self._not_before = 0.0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="append-only", daemon=True)
        self._refusing = False
        self.fault: BaseException | None = None
        self.whole = True

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._client.close()

    def _run(self) -> None:
        try:
            synced = time.monotonic()
            while not self._ending.wait(LOOK_SECONDS):
                try:
                    self.reserve()
                    if time.monotonic() - synced >= SYNC_SECONDS:
                        synced = time.monotonic()
                        self.sync()
                        self.rewrite_if_grown()
                except (redis.ConnectionError, redis.TimeoutError):
                    continue
        except BaseException as fault:
            self.fault = fault

    def reserve(self) -> None:
        """Keep room for what comes next. Where there is none the server is to refuse writes, until there is."""
        newest = self._newest()
        if newest is None:
            return
        try:
            full = not _reserved(newest)
        except FileNotFoundError:  # written anew meanwhile
            return
        if full != self._refusing:
            self._refuse(full)
            log.warning("disk is full, events are refused" if full else "disk has room again", folder=str(self._folder))

    def begin(self) -> None:
        """The same for a server that was just started or adopted, which may refuse or not."""
        self._refuse(False)
        self.whole = True
        self.reserve()

    def _refuse(self, full: bool) -> None:
        self._client.config_set("min-replicas-to-write", int(full))
        self._refusing = full

    def _newest(self) -> Path | None:
        return max(self._folder.glob("*.incr.aof"), key=_sequence, default=None)

    def sync(self) -> None:
        """Bring the file to disk. Raises Unavailable, which ends the keeper: what the kernel drops then was acknowledged."""
        newest = self._newest()
        if newest is None:
            return
        file = os.open(newest, os.O_RDONLY)
        try:
            os.fsync(file)
        except OSError as fault:
            raise Unavailable(
                "engine", f"{newest} cannot be brought to disk ({fault.strerror}); look at the disk"
            ) from fault
        finally:
            os.close(file)

    def rewrite_if_grown(self) -> None:
        """Begin a rewrite when there is reason for one."""
        state: dict[str, Any] = self._client.info("persistence")
        self.whole = state["aof_last_write_status"] == "ok"
        busy = state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"]
        if busy or not self.whole or time.monotonic() < self._not_before:
            return
        if state["aof_current_size"] > max(REWRITE_FROM, REWRITE_GROWTH * state["aof_base_size"]):
            self._not_before = time.monotonic() + RETRY_SECONDS
            self.rewrite()

    def rewrite(self) -> None:
        """Begin a rewrite, and leave no moment in which a write cut short could be followed by another."""
        self._client.config_set("appendfsync", "always")
        try:
            self._client.bgrewriteaof()
        except redis.ResponseError as refused:
            log.warning("store does not write its file anew, trying again later", reason=str(refused))
        self.reserve()
        if _set_append(int(self._client.info("server")["process_id"])):
            self._client.config_set("appendfsync", self._policy)
        elif self._policy != "always":
            log.warning("may not set O_APPEND in the store's process: until it starts again it syncs every write")


def _reserved(file: Path) -> bool:
    """Whether there is room for RESERVED bytes more in a file: on Linux kept for it, where the file system knows of that."""
    there = os.open(file, os.O_WRONLY)
    try:
        return _allocated(there, os.fstat(there).st_size, RESERVED)
    finally:
        os.close(there)


def _allocated(file: int, offset: int, size: int) -> bool:
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:
        fault = errno.ENOSYS
    else:
        done = fallocate(file, KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(size))
        fault = ctypes.get_errno() if done else 0
    if fault in UNABLE:
        room = os.fstatvfs(file)
        return room.f_bavail * room.f_frsize >= size
    return fault == 0


def _sequence(file: Path) -> int:
    return int(file.name.split(".")[-3])


def _set_append(process: int) -> bool:
    """Set O_APPEND on the append-only files that `process` writes; whether that was possible.

    The flag belongs to what fork and pidfd_getfd share, so a copy of the descriptor will do. Linux only; who may trace the
    process may do it, as a parent may (most containers forbid it).
    """
    try:
        pidfd = os.pidfd_open(process)
    except (AttributeError, OSError):
        return False
    try:
        while True:
            written = [int(entry.name) for entry in Path(f"/proc/{process}/fd").iterdir() if _is_incremental(entry)]
            try:
                for number in written:
                    _set_append_at(pidfd, number)
                return bool(written)
            except OSError as fault:
                if fault.errno != errno.EBADF:  # else the server closed the file it wrote before: look again
                    raise
    except OSError:
        return False
    finally:
        os.close(pidfd)


def _is_incremental(descriptor: Path) -> bool:
    try:
        return descriptor.readlink().name.endswith(".incr.aof")
    except FileNotFoundError:  # a connection that closed meanwhile
        return False


def _set_append_at(pidfd: int, number: int) -> None:
    copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    try:
        fcntl.fcntl(copy, fcntl.F_SETFL, fcntl.fcntl(copy, fcntl.F_GETFL) | os.O_APPEND)
    finally:
        os.close(copy)
