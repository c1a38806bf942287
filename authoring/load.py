"""Course files: YAML (or JSON, which is YAML) to a Course, with errors that name file and field."""

from __future__ import annotations

from pathlib import Path

import msgspec
import yaml

from schemas.course import Course
from schemas.errors import Code, Rejection

MAX_FILE_BYTES = 4 * 1024 * 1024


def load_course(path: Path) -> Course:
    """Read a course file. Raises Rejection that says where it is wrong."""
    try:
        text = path.read_bytes()
    except OSError as fault:
        raise Rejection(Code.INVALID, f"{path} cannot be read: {fault.strerror}.") from None
    if len(text) > MAX_FILE_BYTES:
        raise Rejection(Code.TOO_LARGE, f"{path} has {len(text)} bytes; {MAX_FILE_BYTES} are allowed.")
    return parse_course(text, str(path))


def parse_course(text: bytes, name: str) -> Course:
    """A course from the text of a file called `name`."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as fault:
        raise Rejection(Code.MALFORMED, f"{name} is not YAML: {fault}") from None
    except RecursionError:
        raise Rejection(Code.TOO_DEEP, f"{name} is nested too deep.") from None
    try:
        return msgspec.convert(document, Course)
    except msgspec.ValidationError as fault:
        raise Rejection(Code.INVALID, f"{name}: {fault}.") from None
