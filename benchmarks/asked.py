"""What was asked of a bench, in variables and words. What cannot be understood ends it with a sentence that says why."""

from __future__ import annotations

import os

BROKERS = ("standalone", "kafka")


def number_from(name: str, otherwise: int) -> int:
    """A whole number above 0 from the environment; `otherwise` when it is not given or empty."""
    return number(name, os.environ.get(name) or str(otherwise))


def number(name: str, text: str) -> int:
    """The whole number above 0 that was given as `name`."""
    if not text.isdecimal() or int(text) < 1:
        raise SystemExit(f"{name} is {text!r}, and should be a whole number above 0, such as {name}=15.")
    return int(text)


def brokers(text: str) -> list[str]:
    """Names of brokers, separated by commas."""
    names = text.split(",")
    if unknown := [name for name in names if name not in BROKERS]:
        raise SystemExit(f"BROKER is {text!r}; there is no {unknown[0]!r}, only {' and '.join(BROKERS)}.")
    return names
