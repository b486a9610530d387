"""``callmon key``: make API keys. They are kept in the settings file, as digests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.auth import SCOPES, ApiKey, digest_of, new_key, toml_block
from gateway.visibility import Limits
from monitor.model.instants import instant

key = typer.Typer(help="Make API keys.", no_args_is_help=True)


@key.callback()
def _key() -> None:
    """Make API keys."""


@key.command()
def new(
    name: Annotated[str, typer.Option(help="For people and logs.")],
    pbx: Annotated[str, typer.Option(help="Name of the PBX that it is for.")],
    scopes: Annotated[str, typer.Option(help=f"Comma-separated, of {', '.join(SCOPES)}.")] = "read",
    days: Annotated[int | None, typer.Option(min=1, help="Expires after so many days; never if not given.")] = None,
    extensions: Annotated[str, typer.Option(help="Limit to these, comma-separated.")] = "",
    queues: Annotated[str, typer.Option(help="Limit to these queues.")] = "",
    groups: Annotated[str, typer.Option(help="Limit to these ring groups.")] = "",
) -> None:
    """Make a key: shown once, with what to add to the settings file."""
    wanted = _numbers(scopes) or frozenset({"read"})
    unknown = sorted(wanted - set(SCOPES))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: not a scope; there are {', '.join(SCOPES)}")
    raw = new_key()
    expires = instant(datetime.now(UTC) + timedelta(days=days)) if days is not None else None
    limits = Limits(_numbers(extensions), _numbers(queues), _numbers(groups))
    typer.echo(f"Key, shown this once: {raw}\n\nAdd to the settings file:\n")
    typer.echo(toml_block(ApiKey(name, digest_of(raw), pbx, wanted, expires, limits)))


def _numbers(text: str) -> frozenset[str] | None:
    return frozenset(part.strip() for part in text.split(",") if part.strip()) or None
