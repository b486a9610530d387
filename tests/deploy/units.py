"""Read systemd's unit files as far as the tests need them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

SYSTEMD = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = {path.stem.removeprefix("callmon-"): path for path in sorted(SYSTEMD.glob("*.service"))}


def settings_of(unit: Path) -> dict[str, list[str]]:
    """Every setting with its values, in the file's order."""
    found = defaultdict(list)
    for line in unit.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name].append(value)
    return dict(found)
