"""Write and read a recording: one JSON object on each line. ``.gz``: compressed.

Times are seconds since the recording began. The first line says what the file is:

``{"callmon_recording": 1, "began": POSIX seconds, "source": …, "masked": true, "settings":
{"poll_interval": 0.5, …}}``

Each of the others has ``t``, the time at which it came, and ``kind``:

=========== ========================================================================================
``answer``  ``asked`` (when), ``method``, ``path``, ``status``, ``headers``; and for its body one of
            ``body`` (JSON), ``same`` (true: as in the last answer to this request), ``logins`` (of
            the web client: queue → extension → user's id, logged in), ``said`` (a word of the web
            client's interface), ``bytes`` (the number of bytes of anything else)
``silence`` ``asked``, ``method``, ``path``: no complete answer came
``opened``  the event socket is open
``away``    ``status``: the socket was not opened; null: there was no answer
``event``   ``body`` (JSON) or ``bytes``: a message on the socket
``closed``  ``code``, ``reason``: the socket ended; code null: without a close frame
``push``    ``logins``: all queues, as the web client's socket told them
``end``     the recording ended normally; a file without this line was cut off
=========== ========================================================================================
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, TypeAlias, TypeGuard, cast

import msgspec
from msgspec import Meta

from monitor.shared.codec import Malformed, from_json
from monitor.shared.errors import ConfigError

VERSION: Final = 1
_MARK: Final = "callmon_recording"
SOURCES: Final = ("auto", "callcontrol+activecalls", "activecalls")
"""The sources of calls; see the settings."""
PACE: Final = (
    "poll_interval",
    "poll_idle",
    "watchdog_interval",
    "directory_interval",
    "contacts_interval",
)
"""Settings in a recording, in seconds, so that its player can be asked as often as the PBX was."""
MAX_BYTES: Final = 512 * 1024 * 1024
"""Bytes of a recording, unpacked. Some kilobytes of a file may unpack to gigabytes."""
_DAY_S: Final = 86_400
_ENDLESS_S: Final = 1e12
"""Seconds."""
_LARGEST: Final = 2**31


@dataclass(frozen=True, slots=True)
class Header:
    """Hold the first line.

    ``began``: POSIX seconds of this host's clock. ``settings``: those with which the PBX was
    followed.
    """

    began: float
    source: str = "auto"
    masked: bool = True
    settings: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """Return the line as it is written."""
        rest = {
            "began": self.began,
            "source": self.source,
            "masked": self.masked,
            "settings": dict(self.settings),
        }
        return {_MARK: VERSION, **rest}


@dataclass(frozen=True, slots=True)
class RecordedLine:
    """Hold any other line. ``said``: everything in it besides ``t`` and ``kind``."""

    t: float
    kind: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """Hold a whole file, its lines in order of time."""

    header: Header
    lines: tuple[RecordedLine, ...]

    @property
    def seconds(self) -> float:
        """Return how long the recording is."""
        return self.lines[-1].t if self.lines else 0.0


def create(path: Path) -> IO[bytes]:
    """Create a file that only its owner may read and write.

    Raises ConfigError if it exists already or cannot be created.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        return opened(path, "wb")
    except FileExistsError:
        raise ConfigError(f"{path} exists already; give another name.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}.") from error


def opened(path: Path, mode: Literal["rb", "wb"] = "rb") -> IO[bytes]:
    """Open the file, compressed or not. Raises OSError."""
    return cast("IO[bytes]", gzip.open(path, mode)) if path.suffix == ".gz" else path.open(mode)


def read(path: Path) -> Recording:
    """Read a recording. Raises ConfigError.

    If the file ends too early, what it has is read.
    """
    lines: list[bytes] = []
    left = MAX_BYTES
    try:
        with opened(path) as file:
            while line := file.readline(left + 1):
                left -= len(line)
                if left < 0:
                    raise ConfigError(
                        f"{path} holds more than {MAX_BYTES // 1_048_576} MiB, unpacked; record "
                        f"for a shorter time."
                    )
                lines.append(line)
    except EOFError:
        pass  # a compressed file that was cut off
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except zlib.error as error:
        raise ConfigError(f"{path} is damaged: {error}.") from error
    if not lines:
        raise ConfigError(f"{path} is empty.")
    header = _header(path, lines[0])
    if not lines[-1].endswith(b"\n"):
        lines.pop()
    read = [_line(path, number, text) for number, text in enumerate(lines[1:], start=2)]
    return Recording(header, tuple(sorted(read, key=lambda line: line.t)))


def _header(path: Path, text: bytes) -> Header:
    try:
        row = from_json(text)
    except Malformed:
        row = None
    if not isinstance(row, dict) or _MARK not in row:
        raise ConfigError(f"{path} is not a recording of callmon.")
    if row[_MARK] != VERSION:
        raise ConfigError(
            f"{path} is a recording of version {row[_MARK]}; this callmon knows version {VERSION}."
        )
    began, settings = row.get("began"), row.get("settings")
    if not _is_time(began) or not isinstance(settings, dict):
        raise ConfigError(f"{path}: its first line lacks began or settings.")
    pace = {
        name: float(value) for name, value in settings.items() if name in PACE and _is_pace(value)
    }
    source = row.get("source")
    return Header(
        float(began), source if source in SOURCES else "auto", row.get("masked") is not False, pace
    )


def _is_time(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS_S
    )


def _is_pace(value: object) -> bool:
    return isinstance(value, int | float) and 0 < value <= _DAY_S


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < _LARGEST


def _is_status(value: object) -> bool:
    return isinstance(value, int) and 100 <= value < 600


_Id: TypeAlias = Annotated[int, Meta(ge=-_LARGEST, lt=_LARGEST)]


def _is_logins(value: object) -> bool:
    try:
        msgspec.convert(value, dict[str, dict[str, tuple[_Id, bool | None]]])
    except msgspec.ValidationError:
        return False
    return True


_NUMBERS: Final[Mapping[str, Callable[[object], bool]]] = {
    "asked": _is_time,
    "ask": _is_count,
    "status": _is_status,
    "code": _is_count,
    "bytes": _is_count,
}
"""Fields of a line that must be numbers if they exist, each with its check."""


def _line(path: Path, number: int, text: bytes) -> RecordedLine:
    try:
        row = from_json(text)
    except Malformed as error:
        raise ConfigError(f"{path}: line {number} is not JSON.") from error
    if (
        not isinstance(row, dict)
        or not _is_time(row.get("t"))
        or not isinstance(row.get("kind"), str)
    ):
        raise ConfigError(f"{path}: line {number} has no t or no kind.")
    for name, fits in _NUMBERS.items():
        if row.get(name) is not None and not fits(row[name]):
            raise ConfigError(f"{path}: line {number} has no number as {name}.")
    if "logins" in row and not _is_logins(row["logins"]):
        raise ConfigError(f"{path}: line {number} has no logins as logins.")
    return RecordedLine(float(row.pop("t")), row.pop("kind"), row)
