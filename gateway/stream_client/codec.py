"""Read the stream's frames, in JSON or MessagePack.

MessagePack needs the package ``msgpack``, which the extra ``callmon-client[msgpack]`` brings.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any, Literal, NoReturn, TypeAlias

from .errors import StreamMisconfigured

Encoding: TypeAlias = Literal["json", "msgpack"]


class NotAFrame(ValueError):
    """Signal that what came is not a frame of the protocol."""


def check_encoding(encoding: Encoding) -> None:
    """Raise StreamMisconfigured if the encoding is unknown or its package is missing."""
    if encoding not in ("json", "msgpack"):
        raise StreamMisconfigured(f"{encoding!r} is not an encoding: use 'json' or 'msgpack'.")
    if encoding == "msgpack" and find_spec("msgpack") is None:
        raise StreamMisconfigured(
            "The encoding 'msgpack' needs the package msgpack: pip install callmon-client[msgpack]."
        )


def read_frame(data: str | bytes) -> dict[str, Any]:
    """Return a frame as plain containers: text is JSON, bytes are MessagePack. Raises NotAFrame."""
    frame = _from_json(data) if isinstance(data, str) else _from_msgpack(data)
    if not isinstance(frame, dict):
        raise NotAFrame("a frame is an object")
    return frame


def _from_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotAFrame(f"not JSON: {error}") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _from_msgpack(data: bytes) -> Any:
    import msgpack  # not every user has it

    try:
        return msgpack.unpackb(data, strict_map_key=True, raw=False, max_ext_len=0)
    except (msgpack.UnpackException, ValueError, RecursionError) as error:
        raise NotAFrame(f"not MessagePack: {error}") from error
