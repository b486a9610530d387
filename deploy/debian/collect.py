"""Copies what callmon needs at run time from this Python's environment into a directory.

usage: collect.py LOCK_FILE DIRECTORY PYTHON_VERSION [EXTRA …]

Nothing is fetched: the environment was filled from the lock file, hashes checked (deploy/venv.sh).
What is missing, or installed in another version than is locked, is refused. PYTHON_VERSION is that
of the Python which will run it, EXTRA one of callmon's extras that is to come along. Tools for
building and testing stay behind, and so does callmon itself.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def main(lock_file: str, directory: str, python_version: str, *extras: str) -> None:
    """See the module."""
    locked = _locked(Path(lock_file).read_text(encoding="utf-8"))
    try:
        needed = sorted(_needed("callmon", python_version, extras))
    except PackageNotFoundError as error:
        sys.exit(
            f"Python {python_version} needs {error.name}, which is not installed: make the "
            f"environment with it"
        )
    for name in needed:
        found = distribution(name)
        if locked.get(name) != found.version:
            sys.exit(
                f"{name} {found.version} is installed, {locked.get(name, 'none')} is locked: run "
                f"deploy/venv.sh"
            )
        if found.read_text("RECORD") is None:
            sys.exit(
                f"{name} is installed without a list of its files: remove .venv, and run "
                f"deploy/venv.sh"
            )
        _copy(found, Path(directory))


def _locked(text: str) -> dict[str, str]:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


def _needed(root: str, python: str, extras: Iterable[str] = ()) -> set[str]:
    """Names of all distributions that one requires, itself apart. Raises PackageNotFoundError."""
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for requirement in _requirements(name, extra, python):
            required = canonicalize_name(requirement.name)
            waiting += [(required, inner) for inner in ("", *requirement.extras)]
    return {name for name, _ in seen} - {root}


def _requirements(name: str, extra: str, python: str) -> Iterator[Requirement]:
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None:
            if not extra:
                yield requirement
        elif requirement.marker.evaluate({"extra": extra, "python_full_version": python}):
            yield requirement


def _copy(found: Distribution, directory: Path) -> None:
    for file in found.files or ():
        if (
            ".." in file.parts or "__pycache__" in file.parts
        ):  # scripts, and what the package compiles anew
            continue
        target = directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(file.locate()), target)
        target.chmod(
            0o644
        )  # whatever the environment's umask was; nothing of it is run as a program


if __name__ == "__main__":
    main(*sys.argv[1:])
