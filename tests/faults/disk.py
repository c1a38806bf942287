"""A file system of its own for a service's data, so that it can be full. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


def missing() -> str | None:
    """What this machine lacks for it; None when it has everything."""
    with TemporaryDirectory() as folder:
        if _mounted(Path(folder), "64k"):
            subprocess.run(["umount", folder], check=True)
            return None
    return "mounting a small file system needs root"


def _mounted(folder: Path, size: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """`folder`, made, on a file system that holds `size`. Raises OSError where that cannot be."""
    folder.mkdir(parents=True)
    if not _mounted(folder, size):
        raise OSError(f"cannot mount a file system on {folder}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte more can be written there, for as long as this lasts."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        size = 1 << 40
        while size >= 1:
            try:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
            except OSError:
                size //= 2
    try:
        yield
    finally:
        ballast.unlink()
