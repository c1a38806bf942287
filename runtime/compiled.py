"""The hot part of models/ as machine code, by mypyc: the same functions, the same bytes, about half the time.

    python -m runtime.compiled             compile (make compile); where that cannot be, say why and go on without
    python -m runtime.compiled --remove    back to the sources as they are (make interpreted)

Needs mypy and setuptools, which the group `dev` has, a C compiler and Python's headers (Debian: gcc and python3-dev). The
libraries stand beside the sources, where Python finds them first, with a fingerprint of what they were made from.
"""

from __future__ import annotations

import io
import os
import sys
import sysconfig
from contextlib import redirect_stderr, redirect_stdout
from hashlib import blake2b
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "models"
STAMP = PACKAGE / ".compiled"
"""The fingerprint of what was compiled. Empty: nothing was, so that `make` does not try again."""

HOT = ("adagrad", "behaviour", "belief", "entries", "familiarity", "features", "formats", "gain", "knowledge",
       "levels", "mask", "mastery", "plan", "policy", "response", "row", "shortfall", "timing")  # fmt: skip
GROUP = "segue_models"
EXACT = "-ffp-contract=off"
"""Never fuse multiplication and addition: decisions have the same bits on every machine, compiled or not."""


class CannotCompileError(Exception):
    """What is missing, in words."""


def fingerprint() -> str:
    """Of the sources as they are now."""
    digest = blake2b(digest_size=16)
    for name in HOT:
        digest.update((PACKAGE / f"{name}.py").read_bytes())
    return digest.hexdigest()


def libraries() -> list[Path]:
    """What compiling makes for this Python."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return [ROOT / f"{GROUP}__mypyc{suffix}", *(PACKAGE / f"{name}{suffix}" for name in HOT)]


def is_compiled() -> bool:
    """Whether this Python runs machine code."""
    return all(library.exists() for library in libraries())


def form() -> str:
    """How models/ runs here, in a word for logs and results."""
    return "compiled" if is_compiled() else "interpreted"


def refuse_stale() -> None:
    """Raises ImportError when sources have changed since they were compiled (Python would run the old ones), or a library
    is missing."""
    there = [library for library in libraries() if library.exists()]
    made = STAMP.read_text() if STAMP.exists() else ""
    if there and (len(there) <= len(HOT) or made != fingerprint()):
        raise ImportError("models/ has changed since it was compiled: `make compile`, or `make interpreted` to do without")


def remove() -> None:
    """Remove everything that was compiled, for any Python."""
    STAMP.unlink(missing_ok=True)
    for library in (*PACKAGE.glob("*.so"), *PACKAGE.glob("*.pyd"), *ROOT.glob(f"{GROUP}__mypyc*")):
        library.unlink()


def build() -> None:
    """Compile. Raises CannotCompileError where something is missing; what was there is gone then."""
    remove()
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if which(compiler) is None:
        raise CannotCompileError(f"no C compiler {compiler} (Debian: apt-get install gcc)")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise CannotCompileError("Python's headers are missing (Debian: apt-get install python3-dev)")
    said = io.StringIO()
    made = fingerprint()
    try:
        with redirect_stdout(said), redirect_stderr(said), TemporaryDirectory() as folder:
            _mypyc(folder)
    except ImportError as missing:
        raise CannotCompileError(f"{missing.name} is not installed (the group dev has it)") from missing
    except (Exception, SystemExit) as fault:
        remove()
        raise CannotCompileError(f"{fault}\n{said.getvalue()[-2_000:]}") from fault
    STAMP.write_text(made)


def _mypyc(folder: str) -> None:
    from mypyc.build import mypycify
    from setuptools import Distribution  # type: ignore[import-untyped]
    from setuptools.command.build_ext import build_ext  # type: ignore[import-untyped]

    os.chdir(ROOT)
    sources = [f"models/{name}.py" for name in HOT]
    extensions: list[Any] = mypycify(sources, group_name=GROUP, opt_level="1", debug_level="0", target_dir=folder)
    for extension in extensions:
        extension.extra_compile_args.append(EXACT)
    command = build_ext(Distribution({"name": "segue", "ext_modules": extensions, "packages": []}))
    command.inplace, command.build_temp = True, folder
    command.ensure_finalized()
    command.run()


def main() -> int:
    """Exit code 0 also where nothing could be compiled: everything works without, only slower."""
    if "--remove" in sys.argv:
        remove()
        return 0
    print("Compiling models/ (about a minute) ...", file=sys.stderr, flush=True)
    start = perf_counter()
    try:
        build()
    except CannotCompileError as lack:
        print(f"Not compiled: {lack}. Everything works without it; a step takes about twice as long.", file=sys.stderr)
        STAMP.write_text("")
        return 0
    print(f"Compiled in {perf_counter() - start:.0f} s.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
