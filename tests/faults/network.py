"""A network namespace with one cable to us, which can be pulled, slowed, or closed to one host. Needs root."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def missing() -> str | None:
    """What this machine lacks for namespaces; None when it has everything."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    lacking = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if lacking:
        return f"no {' and no '.join(lacking)} on PATH (Debian: iproute2)"
    if subprocess.run(["ip", "netns", "add", "segue-probe"], capture_output=True, check=False).returncode != 0:
        return "this machine does not allow network namespaces"
    _run("ip", "netns", "del", "segue-probe")
    return None


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)


@dataclass(frozen=True)
class Network:
    """`hosts`: our addresses, one a broker; who calls `enter` lives on the other side."""

    name: str
    hosts: tuple[str, ...]

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command in the namespace."""
        return ("ip", "netns", "exec", self.name)

    def enter(self) -> None:
        """Move this process there (its threads still to come, too). Raises OSError."""
        with Path("/run/netns", self.name).open("rb") as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")

    @classmethod
    @contextmanager
    def made(cls, hosts: int) -> Iterator[Network]:
        """Lay the cable; take it away at the end."""
        number = os.getpid() % 200
        name, ours, theirs = f"segue-{os.getpid()}", f"sg{os.getpid()}a", f"sg{os.getpid()}b"
        addresses = tuple(f"10.77.{number}.{n + 1}" for n in range(hosts))
        _run("ip", "netns", "add", name)
        try:
            _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
            _run("ip", "link", "set", theirs, "netns", name)
            for address in addresses:
                _run("ip", "addr", "add", f"{address}/24", "dev", ours)
            _run("ip", "link", "set", ours, "up")
            inside = cls(name, addresses)
            inside._inside("ip", "addr", "add", f"10.77.{number}.100/24", "dev", theirs)
            inside._inside("ip", "link", "set", theirs, "up")
            inside._inside("ip", "link", "set", "lo", "up")
            yield inside
        finally:
            _run("ip", "netns", "del", name)
            subprocess.run(["ip", "link", "del", ours], capture_output=True, check=False)

    def cut(self) -> None:
        """Nothing gets through."""
        self._inside("ip", "link", "set", self._cable, "down")

    def heal(self) -> None:
        """Everything gets through again."""
        self._inside("ip", "link", "set", self._cable, "up")

    def cut_host(self, host: str) -> None:
        """Nothing reaches one host."""
        self._inside("ip", "route", "add", "blackhole", host)

    def heal_host(self, host: str) -> None:
        """It does again."""
        self._inside("ip", "route", "del", "blackhole", host)

    def slow(self) -> None:
        """200 ms on the way out and 2 % lost; without netem, a narrow line whose queue of 200 ms runs over."""
        laying = ("tc", "qdisc", "add", "dev", self._cable, "root")
        try:
            self._inside(*laying, "netem", "delay", "200ms", "loss", "2%")
        except subprocess.CalledProcessError:
            self._inside(*laying, "tbf", "rate", "1mbit", "burst", "4kb", "latency", "200ms")

    def quick(self) -> None:
        """As before."""
        self._inside("tc", "qdisc", "del", "dev", self._cable, "root")

    @property
    def _cable(self) -> str:
        return f"sg{self.name.removeprefix('segue-')}b"

    def _inside(self, *command: str) -> None:
        _run(*self.prefix, *command)
