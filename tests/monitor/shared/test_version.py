"""The version that the program tells of itself."""

from __future__ import annotations

import tomllib
from importlib import metadata

from monitor.shared.version import USER_AGENT, VERSION
from tests.conftest import ROOT

DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]


def test_what_is_installed_is_what_is_declared() -> None:
    """An environment that was made of an older pyproject.toml would tell an older version."""
    assert metadata.version("callmon") == VERSION == DECLARED
    assert f"callmon/{DECLARED}" == USER_AGENT
