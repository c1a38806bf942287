"""A file system of its own for a service's data, so that it can be full. Needs root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory


def missing() -> str | None:
    """What this machine lacks for it; None when it has everything."""
    with TemporaryDirectory() as folder:
        if not _mounted(Path(folder) / "probe", "8M"):
            return "mounting a small file system needs root, mkfs.ext4 (Debian: e2fsprogs) and loop devices"
        subprocess.run(["umount", f"{folder}/probe"], check=True)
        return None


def _mounted(folder: Path, size: str) -> bool:
    """ext4 in a file, which is nearer to a disk than tmpfs."""
    folder.mkdir(parents=True)
    image = folder.with_suffix(".ext4")
    commands = (
        ["truncate", "-s", size, str(image)],
        ["mkfs.ext4", "-q", "-F", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    )
    return all(
        which(each[0]) and subprocess.run(each, capture_output=True, check=False).returncode == 0 for each in commands
    )


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """`folder`, made, on a file system that holds `size`. Raises OSError where that cannot be."""
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
