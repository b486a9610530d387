"""The version of this program: pyproject.toml has it, and everything else asks here."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("callmon")
USER_AGENT: Final = f"callmon/{VERSION}"
"""As which our clients show themselves over HTTP."""
