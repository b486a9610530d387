"""Name what an API key may be allowed. Pure, and light: the command line shows it in its help."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Scope: TypeAlias = Literal["read", "contacts", "control", "admin", "sql"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
