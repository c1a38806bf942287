"""Course files: YAML (or JSON, which is YAML) to a Course, with errors that name file and field."""

from __future__ import annotations

from math import inf
from pathlib import Path

import msgspec
import yaml

from schemas.codec import in_words
from schemas.course import Course
from schemas.errors import Code, Rejection

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_NODES = 500_000
"""Values in a file with its aliases written out: a few lines of aliases can stand for billions."""


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
        document = yaml.load(text, Loader=_Loader)
        if _nodes(document, {}) > MAX_NODES:
            raise Rejection(Code.TOO_LARGE, f"{name} has more than {MAX_NODES:,} values with its aliases written out.")
    except (yaml.YAMLError, ValueError) as fault:
        raise Rejection(Code.MALFORMED, f"{name} is not YAML: {fault}") from None
    except RecursionError:
        raise Rejection(Code.TOO_DEEP, f"{name} is nested too deep.") from None
    try:
        course = msgspec.convert(document, Course)
        msgspec.json.encode(course)
    except msgspec.ValidationError as fault:
        raise Rejection(Code.INVALID, f"{name}: {_in_words(fault)}.") from None
    except UnicodeEncodeError:
        raise Rejection(Code.INVALID, f"{name} has half of a character (\\ud800 to \\udfff) in a text.") from None
    return course


def _in_words(fault: msgspec.ValidationError) -> str:
    """What is wrong, with a hint where YAML has read a number or nothing."""
    told = in_words(fault, Course)
    if told.startswith(("Expected `str`, got `int`", "Expected `str`, got `float`", "Expected `str`, got `bool`")):
        return f"{told} (put it in quotes)"
    return told.replace("Expected `object`, got `null`", "Expected a course, got nothing")


class _Loader(yaml.SafeLoader):
    """No name twice in a mapping, and no more merged into one than a file may hold."""

    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._flat: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called before a mapping is made, and for what is merged into one."""
        if id(node) in self._flat:
            return
        self._flat.add(id(node))
        own: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in own:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            own.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        super().flatten_mapping(node)
        if len(node.value) > MAX_NODES:
            raise Rejection(Code.TOO_LARGE, f"More than {MAX_NODES:,} values are merged into one.")


def _nodes(value: object, known: dict[int, float]) -> float:
    """Values in `value`, shared ones counted each time; infinite when it contains itself."""
    if not isinstance(value, dict | list):
        return 1.0
    if id(value) not in known:
        known[id(value)] = inf
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1.0 + sum(_nodes(child, known) for child in children)
    return known[id(value)]
