"""List the settings that have a new name. The old name is refused, and the new one is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RENAMED: Final[Mapping[str, str]] = {
    "gateway.heartbeat": "heartbeat_interval",
    "gateway.log_length": "change_log_length",
    "gateway.log_bytes": "change_log_bytes",
    "gateway.stream.messages_at_once": "message_burst",
    "gateway.stream.messages_at_once_per_key": "message_burst_per_key",
    "gateway.stream.stall": "stall_timeout",
    "gateway.stream.silence": "subscribe_timeout",
    "gateway.stream.oldest": "max_connection_age",
    "gateway.stream.drain": "drain_time",
    "monitor.lease": "lease_duration",
    "monitor.log_length": "change_log_length",
    "monitor.log_bytes": "change_log_bytes",
    "pbx.silence": "silence_timeout",
    "pbx.figures.short_abandon": "short_abandon_threshold",
    "pbx.database.answer_size": "max_answer_bytes",
}
"""Old place of a setting → its new name in the same section. Places lack list entries' numbers."""


def new_name(place: tuple[int | str, ...]) -> str | None:
    """Return the new name of the setting that was at this place, or None if it was not renamed."""
    return RENAMED.get(".".join(part for part in place if isinstance(part, str)))
