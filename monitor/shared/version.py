"""Provide the version of this program, which pyproject.toml sets."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("callmon")
USER_AGENT: Final = f"callmon/{VERSION}"
"""The name that our HTTP clients send."""
