"""A data folder, and who holds it: locks that end with the process."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from schemas.errors import Misconfigured


def lock_file(folder: Path, name: str) -> IO[str]:
    """Open the lock `name` of a folder, which is made where there is none. Raises Misconfigured where that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what learners did is for nobody else to read
        return (folder / name).open("w")
    except OSError as fault:
        raise Misconfigured(f"{folder} cannot be used as a data folder: {fault.strerror}.") from None


def take(lock: IO[str]) -> bool:
    """Take a lock for as long as this process lives or has it open; False when somebody else has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
