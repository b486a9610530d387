"""Make, list and revoke API keys: ``callmon key``.

A key is made on Redis, from where all gateways and the monitor's file take it within a second. Or
it is printed for the settings file. Either way only its digest is kept. The key itself is shown
only once.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from gateway.cli.options import Config
from gateway.cli.terminal_output import say, say_text
from gateway.scopes import SCOPES
from monitor.shared.errors import ConfigError

if TYPE_CHECKING:
    from gateway.auth.api_keys import ApiKey
    from gateway.auth.key_admin import KeyAdmin

Pbxs = Annotated[
    str,
    typer.Option(
        help="The PBX of the key; needed if there are several. For several: names separated by "
        "commas, tenant:NAME, or * for all."
    ),
]
Pbx = Annotated[
    str,
    typer.Option(help="Name of the PBX with which the key is stored; needed if there are several."),
]
Budget = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=1_000_000_000,
        help="Such requests a minute; 0: no limit; default: the gateways' setting.",
    ),
]
Run = Callable[[Coroutine[Any, Any, int | None]], None]
T = TypeVar("T")

_LONGEST_NAME = 100
_SCOPES_HELP = (
    f"Scopes, separated by commas: {', '.join(SCOPES)}. Only contacts shows the address book and "
    "people's e-mail addresses, "
    "mobile numbers and SIP ids."
)


def commands(run: Run) -> typer.Typer:
    """Return the commands of ``callmon key``.

    ``run`` runs the work of each command and prints an error as a sentence.
    """
    key = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)

    @key.command()
    def new(
        name: Annotated[str, typer.Option(help="Name of the key, for people and logs.")],
        pbx: Pbxs = "",
        scopes: Annotated[str, typer.Option(help=_SCOPES_HELP)] = "read",
        days: Annotated[
            int | None, typer.Option(min=1, help="Days until the key expires; default: never.")
        ] = None,
        extensions: Annotated[
            str, typer.Option(help="Limit the key to these extensions, separated by commas.")
        ] = "",
        queues: Annotated[str, typer.Option(help="Limit the key to these queues.")] = "",
        groups: Annotated[str, typer.Option(help="Limit the key to these ring groups.")] = "",
        networks: Annotated[
            str, typer.Option(help="Accept the key only from these networks, such as 192.0.2.0/24.")
        ] = "",
        time: Annotated[
            Literal["milliseconds", "seconds"],
            typer.Option(help="Form of the instants in answers to queries that name none."),
        ] = "milliseconds",
        reads: Budget = None,
        commands: Budget = None,
        makecall: Budget = None,
        query: Budget = None,
        print_block: Annotated[
            bool,
            typer.Option(
                "--print-block",
                help="Do not store the key: print what to add to the settings file.",
            ),
        ] = False,
        config: Config = None,
    ) -> None:
        """Make a key; it is shown once."""
        from gateway.auth.api_keys import ApiKey, new_key, sha256_hex, toml_block
        from gateway.visibility import Limits
        from monitor.shared.api_keys import Budgets
        from monitor.shared.timestamps import instant

        _check_name(name)
        raw = new_key()
        expires = instant(datetime.now(UTC) + timedelta(days=days)) if days is not None else None
        limits = Limits(
            _numbers("--extensions", extensions),
            _numbers("--queues", queues),
            _numbers("--groups", groups),
        )
        budgets = Budgets(reads, commands, makecall, query)
        home, several = _pbxs(pbx)
        made = ApiKey(
            name,
            sha256_hex(raw),
            home,
            _scopes(scopes),
            expires,
            limits,
            _networks(networks),
            budgets,
            time,
            several,
        )
        if print_block:
            if not pbx:
                raise typer.BadParameter("name the PBX with --pbx")
            say(f"Key, shown this once: {raw}", "", "Add to the settings file:", "")
            say_text(toml_block(made))
            return
        run(_new(config, made, raw))

    @key.command("list")
    def list_(pbx: Pbx = "", config: Config = None) -> None:
        """List the keys that were made by command; those of the settings file are not listed."""
        run(_list(config, pbx))

    @key.command()
    def revoke(name: str, pbx: Pbx = "", config: Config = None) -> None:
        """Revoke a key: within a second no gateway accepts it any more, and its streams end."""
        run(_revoke(config, pbx, name))

    return key


async def _new(config: Path | None, key: ApiKey, raw: str) -> None:
    from gateway.config import GatewaySettings

    if any(section.name == key.name for section in GatewaySettings.load(config).keys):
        raise ConfigError(
            f"There is a key {key.name!r} in the settings file already: choose another name."
        )
    home = _home(config, key)
    kept = await _with(config, home, lambda keys: keys.make(key))
    say(f"Key {key.name}, shown this once: {raw}")
    if key.pbxs:
        say(f"It is stored with {home}: list and revoke it with --pbx {home}.")
    _say_if_not_kept(kept)


async def _revoke(config: Path | None, pbx: str, name: str) -> None:
    kept = await _with(config, pbx, lambda keys: keys.revoke(name))
    say(f"Revoked {name}.")
    _say_if_not_kept(kept)


async def _list(config: Path | None, pbx: str) -> None:
    from msgspec.structs import asdict

    from gateway.cli.tables import show

    keys = await _with(config, pbx, lambda changes: changes.all())
    rows: list[tuple[str, ...]] = []
    for key in keys:
        kinds = (
            ("extensions", key.limits.extensions),
            ("queues", key.limits.queues),
            ("groups", key.limits.groups),
        )
        limits = "; ".join(
            f"{kind} {', '.join(sorted(numbers))}" for kind, numbers in kinds if numbers is not None
        )
        budgets = ", ".join(
            f"{of} {kind}" for kind, of in asdict(key.budgets).items() if of is not None
        )
        scopes, networks = ", ".join(sorted(key.scopes)), ", ".join(key.networks)
        form = "" if key.time == "milliseconds" else key.time
        expires, pbxs = key.expires or "never", ", ".join(key.pbxs)
        rows.append((key.name, scopes, expires, limits, networks, budgets, form, pbxs))
    titles = ("name", "scopes", "expires", "limited to", "only from", "a minute", "time", "PBXs")
    show(titles, rows, "No key was made with callmon key new yet.", whole="expires")


async def _with(config: Path | None, pbx: str, work: Callable[[KeyAdmin], Awaitable[T]]) -> T:
    from gateway.auth.key_admin import KeyAdmin
    from gateway.config import GatewaySettings
    from monitor.shared.redis.topology import RedisClients
    from monitor.shared.settings.loader import no_pbx

    settings = GatewaySettings.load(config)
    names = settings.pbx_names
    if not pbx and not names:
        raise ConfigError(f"{no_pbx(config)}: name the PBX with --pbx.")
    if not pbx and len(names) != 1:
        raise ConfigError(f"Name the PBX with --pbx; known are: {', '.join(names)}.")
    if pbx and names and pbx not in names:
        raise ConfigError(f"There is no PBX {pbx!r}; known are: {', '.join(names)}.")
    servers = RedisClients(settings.redis.url, settings.redis.ca_file)
    name = pbx or names[0]
    try:
        return await work(KeyAdmin(servers.of(name), name))
    finally:
        await servers.aclose()


def _home(config: Path | None, key: ApiKey) -> str:
    """Return the PBX with which to store the key: the first that it is for. Raises ConfigError."""
    from gateway.auth.pbx_choice import served_of
    from gateway.config import GatewaySettings

    if not key.pbxs:
        return key.pbx
    tenants = GatewaySettings.load(config).tenants
    for word in key.pbxs:
        if not served_of((word,), tenants):
            known = ", ".join(sorted(tenants)) or "none"
            of_tenants = ", ".join(sorted({tenant for tenant in tenants.values() if tenant}))
            raise ConfigError(
                f"There is no PBX {word!r}; known are: {known}; tenants: {of_tenants or 'none'}."
            )
    return served_of(key.pbxs, tenants)[0]


def _pbxs(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the one PBX and no others, or none and the words for several. Raises BadParameter."""
    from monitor.shared.api_keys import EVERY_PBX, MOST_PBX_WORDS, PBX_WORD, TENANT

    words = tuple(sorted(_parts("--pbx", text, "names such as east,west")))
    if len(words) == 1 and words[0] != EVERY_PBX and TENANT not in words[0]:
        return words[0], ()
    for word in words:
        if not re.fullmatch(PBX_WORD, word):
            raise typer.BadParameter(
                f"--pbx: {word!r} is not a PBX; give names, tenant:NAME, or * for all"
            )
    if len(words) > MOST_PBX_WORDS:
        raise typer.BadParameter(f"--pbx lists more than {MOST_PBX_WORDS}; give * for all")
    return "", words


def _say_if_not_kept(kept: bool) -> None:
    if not kept:
        say(
            "The leading monitor of this PBX does not run, or its disk is full. So this is only on "
            "Redis until it is well again: callmon status.",
            error=True,
        )


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise typer.BadParameter(
            f"a name has 1 to {_LONGEST_NAME} printable characters, and no space at its ends"
        )


def _scopes(text: str) -> frozenset[Any]:
    wanted = _parts("--scopes", text, "scopes such as read,control")
    unknown = sorted(wanted - set(SCOPES))
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)}: not a scope; the scopes are {', '.join(SCOPES)}"
        )
    return wanted or frozenset({"read"})


def _networks(text: str) -> tuple[str, ...]:
    wanted = _parts("--networks", text, "networks such as 192.0.2.0/24")
    try:
        return tuple(sorted(str(ip_network(part)) for part in wanted))
    except ValueError as error:
        raise typer.BadParameter(f"{error}; give networks such as 192.0.2.0/24") from error


def _numbers(option: str, text: str) -> frozenset[str] | None:
    """Return the listed numbers, or None if the option was not given. Raises BadParameter."""
    from gateway.parameters import quoted
    from gateway.visibility import is_number

    wanted = _parts(option, text, "numbers such as 800,801")
    for part in sorted(wanted):
        if not is_number(part):
            raise typer.BadParameter(
                f"{option}: {quoted(part)} is not a number; give numbers such as 800,801"
            )
    return wanted or None


def _parts(option: str, text: str, such_as: str) -> frozenset[str]:
    """Return the parts between the commas. Raises BadParameter if the option lists nothing.

    An empty list would remove the limit that the option is there for.
    """
    parts = frozenset(part.strip() for part in text.split(",") if part.strip())
    if text and not parts:
        raise typer.BadParameter(f"{option} lists nothing; give {such_as}, or leave the option out")
    return parts
