"""Define the gateway's settings: where it listens, which PBXs it serves, and the keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from gateway.auth.api_keys import ApiKey, KeyTable, sha256_hex
from gateway.auth.pbx_choice import served_of
from gateway.operations.operation_table import RESERVED
from gateway.parameters import quoted
from gateway.replication.replica import LOG_BYTES, LOG_LENGTH
from gateway.scopes import Scope
from gateway.visibility import NO_LIMITS, Limits, is_number
from monitor.shared.api_keys import (
    MOST_PBX_WORDS,
    PBX_NAME,
    PBX_WORD,
    TENANT,
    Budgets,
    InstantForm,
)
from monitor.shared.host_names import as_named
from monitor.shared.settings.loader import FileSettings, Section
from monitor.shared.timestamps import instant

if TYPE_CHECKING:
    from gateway.stream.admission import LiveSettings


def _number(value: str) -> str:
    if not is_number(value):
        raise ValueError(
            f"{quoted(value)} is not the number of an extension, a queue or a ring group, "
            f"such as 800"
        )
    return value


_Numbers = frozenset[Annotated[str, AfterValidator(_number)]]


_Budget = Annotated[int, Field(ge=0, le=1_000_000_000)]
_PROXY = re.compile(r"\*?|[\w.-]+|[0-9a-fA-F.:]+(%\w+)?(/\d{1,3})?")
"""Proxy's address, network or name."""


def _pbx_word(value: str) -> str:
    if not re.fullmatch(PBX_WORD, value):
        raise ValueError(f'{quoted(value)} is not a PBX; give a name, "tenant:NAME" or "*" for all')
    return value


_PbxWord = Annotated[str, AfterValidator(_pbx_word)]


def _host(value: str) -> str:
    """Return a host as browsers name it in the header ``Host``."""
    try:
        return as_named(value)
    except ValueError as error:
        raise ValueError(f"{quoted(value)} is {error}") from None


_SECRET_LENGTH = 32
"""Characters that a secret for tickets must have."""
_Host = Annotated[str, Field(max_length=255), AfterValidator(_host)]
_Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/?#\s]+)$"), AfterValidator(str.lower)]


class BudgetsSection(Section):
    """Hold ``[gateway.budgets]``: requests a minute that a key may make.

    They are counted at all gateways together. 0: without a limit.
    """

    reads: _Budget = 120_000
    commands: _Budget = 3_000
    """Commands that change something, except ``makecall``."""
    makecall: _Budget = 300
    query: _Budget = 300
    """SQL queries."""

    def budgets(self) -> Budgets:
        """Return the budgets in the form in which they are counted."""
        return Budgets(self.reads, self.commands, self.makecall, self.query)


class KeyBudgetsSection(Section):
    """Hold ``[keys.budgets]``: the budgets of one key.

    What is left out is as in ``[gateway.budgets]``.
    """

    reads: _Budget | None = None
    commands: _Budget | None = None
    makecall: _Budget | None = None
    query: _Budget | None = None

    def budgets(self) -> Budgets:
        """Return the budgets in the form in which they are counted."""
        return Budgets(self.reads, self.commands, self.makecall, self.query)


class StreamSection(Section):
    """Hold ``[gateway.stream]``: what is expected of clients, and what each gateway bears.

    Times in seconds.
    """

    connections: int = Field(default=10_000, ge=1, le=1_000_000)
    connections_per_key: int = Field(default=1_000, ge=1, le=1_000_000)
    message_burst: int = Field(default=30, ge=1, le=10_000)
    """Messages that a connection may send in one go."""
    messages_per_second: float = Field(default=10.0, gt=0, le=10_000)
    message_burst_per_key: int = Field(default=3_000, ge=1, le=1_000_000)
    """Messages in one go of all connections of a key together."""
    messages_per_second_per_key: float = Field(default=100.0, gt=0, le=1_000_000)
    stall_timeout: float = Field(default=60.0, ge=1, le=3_600)
    """Seconds for which a client may take nothing of what is sent."""
    subscribe_timeout: float = Field(default=30.0, ge=1, le=3_600)
    """Seconds within which a client must subscribe."""
    max_connection_age: float = Field(default=8 * 3600.0, ge=60, le=7 * 86_400)
    """Seconds that a connection may last. Each is ended after half of this to all of it, so that
    reconnecting is routine."""
    drain_time: float = Field(default=2.0, ge=0, le=600)
    """Seconds over which a gateway that is stopped spreads its close frames."""
    origins: tuple[_Origin, ...] = ()
    """Origins of the pages that may open the stream. None given: all, as a key is needed anyway."""

    def settings(self) -> LiveSettings:
        """Return the settings in the form that the stream takes."""
        from gateway.stream.admission import (
            LiveSettings,
        )  # the server: not needed to only read the settings
        from gateway.stream.connection import ConnectionLimits

        limits = ConnectionLimits(
            message_burst=self.message_burst,
            messages_per_second=self.messages_per_second,
            stall_timeout=self.stall_timeout,
            subscribe_timeout=self.subscribe_timeout,
        )
        origins = frozenset(self.origins) if self.origins and "*" not in self.origins else None
        ages = (self.max_connection_age / 2, self.max_connection_age)
        return LiveSettings(
            limits,
            self.connections,
            self.connections_per_key,
            self.message_burst_per_key,
            self.messages_per_second_per_key,
            origins,
            ages,
        )


class GatewaySection(Section):
    """Hold ``[gateway]``: the settings of this process."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address that it listens on; ``0.0.0.0`` for all."""
    port: int = Field(default=8765, ge=0, le=65_535)
    """TCP port that it listens on; 0: any free one."""
    heartbeat_interval: float = Field(default=5.0, ge=1, le=60)
    """Seconds between heartbeats of the stream."""
    change_log_length: int = Field(default=LOG_LENGTH, ge=100, le=1_000_000)
    """Changes kept in memory, some kilobytes each, for subscribers that lag or come back. A
    client that is further behind gets a snapshot. A value above the one in ``[monitor]`` does
    not help more."""
    change_log_bytes: int = Field(default=LOG_BYTES, ge=1_048_576, le=17_179_869_184)
    """Bytes of these changes for each space, as they come over the bus. In memory they take up
    to twice as many."""
    follow: Literal["all", "on_demand"] = "all"
    """Which PBXs are followed. ``all``: each one, always. ``on_demand``: those that somebody asks
    for; the first one to ask waits until the state is loaded."""
    idle_time: float = Field(default=600.0, ge=60, le=86_400)
    """Seconds after which a PBX that nobody asks for is let go, with ``on_demand``."""
    forwarded_allow_ips: str = Field(default="127.0.0.1", max_length=4096)
    """Addresses, networks or names of the proxies, comma-separated, whose ``X-Forwarded-For`` is
    believed."""
    connections: int = Field(default=20_000, ge=10, le=1_000_000)
    """Connections in all, of any kind; more are closed at once."""
    connections_per_address: int = Field(default=1_000, ge=0, le=1_000_000)
    """Requests and streams that one client address may hold open, also behind a proxy; 0: any
    number."""
    compression: bool = True
    """True to compress the stream and answers for clients that can read that."""
    budgets: BudgetsSection = BudgetsSection()
    """Budgets of each key that has none of its own."""
    stream: StreamSection = StreamSection()
    allowed_hosts: tuple[_Host, ...] = ()
    """Hosts that requests may name in the header ``Host``, with any port: names and addresses, such
    as ``wall.example.com``. None given: all."""
    cors_origins: tuple[_Origin, ...] = ()
    """Origins of the pages, such as ``https://wall.example.com``, that may read answers; ``*``
    for all."""
    ticket_secret: SecretStr | None = None
    """Secret that authenticates tickets: the same at all gateways that serve the same clients.
    None: each gateway makes one for itself and its workers."""

    @field_validator("ticket_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SECRET_LENGTH:
            raise ValueError(
                f"it is shorter than {_SECRET_LENGTH} characters; make one with: "
                f"od -An -N32 -tx1 /dev/urandom | tr -d ' \\n'"
            )
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _proxies(cls, value: str) -> str:
        for word in value.split(","):
            if not _PROXY.fullmatch(word.strip()):
                raise ValueError(
                    f"{word.strip()!r} is not an address, network or name; write them with commas "
                    f"between, such as 127.0.0.1,10.0.0.0/8"
                )
        return value


class LimitsSection(Section):
    """Hold ``[keys.limits]``: what a key sees, if not all. A kind that is left out is not seen."""

    extensions: _Numbers | None = None
    queues: _Numbers | None = None
    groups: _Numbers | None = None


class KeySection(Section):
    """Hold ``[[keys]]``: one API key."""

    name: str = Field(min_length=1, max_length=100)
    """Name of the key, for people and logs."""
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the key in hexadecimal."""
    pbx: str = ""
    """Name of the PBX that the key is for; may be left out if there is only one."""
    pbxs: tuple[_PbxWord, ...] = Field(default=(), max_length=MOST_PBX_WORDS)
    """Several PBXs, in place of ``pbx``: names, ``tenant:`` and a tenant's name, or ``*`` for
    all."""
    scopes: frozenset[Scope] = Field(default=frozenset({"read"}), min_length=1)
    expires: AwareDatetime | None = None
    """Instant from which on the key is refused; with a time zone."""
    limits: LimitsSection | None = None
    networks: tuple[IPvAnyNetwork, ...] = ()
    """Networks from which the key may be used, such as ``192.0.2.0/24``; none for all."""
    time: InstantForm = "milliseconds"
    """Form of the instants in answers to queries that name none: ``milliseconds`` or
    ``seconds``."""
    budgets: KeyBudgetsSection = KeyBudgetsSection()

    @property
    def words(self) -> tuple[str, ...]:
        """Return what the key says of its PBXs, word for word."""
        return self.pbxs or (self.pbx,)

    @field_validator("digest")
    @classmethod
    def _unambiguous(cls, value: str) -> str:
        word = next((word for word in RESERVED if sha256_hex(word) == value), None)
        if word is not None:
            raise ValueError(f"this is the digest of {word!r}, which is an address, not a key")
        return value

    def api_key(self) -> ApiKey:
        """Return the entry for the key table."""
        limits = NO_LIMITS if self.limits is None else Limits(**dict(self.limits))
        expires = None if self.expires is None else instant(self.expires)
        networks = tuple(str(network) for network in self.networks)
        budgets = self.budgets.budgets()
        return ApiKey(
            self.name,
            self.digest,
            self.pbx,
            frozenset(self.scopes),
            expires,
            limits,
            networks,
            budgets,
            self.time,
            self.pbxs,
        )


class PbxName(BaseModel):
    """Hold ``[[pbx]]``: its name and tenant. The rest is for the monitor, which checks it."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)

    name: str = Field(pattern=f"^{PBX_NAME}$")
    tenant: str = Field(default="", pattern=f"^({PBX_NAME})?$")


class GatewaySettings(FileSettings):
    """Hold all that the gateway reads from the file."""

    gateway: GatewaySection = GatewaySection()
    pbx: tuple[PbxName, ...] = ()
    keys: tuple[KeySection, ...] = ()
    monitor: Any = None
    """The monitor's section, not read here."""

    @property
    def pbx_names(self) -> tuple[str, ...]:
        """Return the PBXs that are served, in the file's order."""
        return tuple(section.name for section in self.pbx)

    @property
    def tenants(self) -> dict[str, str]:
        """Return each PBX's tenant, empty if it has none, in the file's order."""
        return {section.name: section.tenant for section in self.pbx}

    def key_table(self) -> KeyTable:
        """Return the keys as a table for lookup."""
        return KeyTable(section.api_key() for section in self.keys)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _differ("[[pbx]] entries", self.pbx_names)
        _differ("[[keys]] entries", [section.name for section in self.keys])
        if len({section.digest for section in self.keys}) < len(self.keys):
            raise ValueError(
                "two [[keys]] entries have the same digest; each key may be listed only once"
            )
        return self

    @field_validator("keys")
    @classmethod
    def _known_pbx(
        cls, value: tuple[KeySection, ...], info: ValidationInfo
    ) -> tuple[KeySection, ...]:
        return tuple(_with_pbx(section, info.data.get("pbx", ())) for section in value)


def _with_pbx(section: KeySection, pbxs: tuple[PbxName, ...]) -> KeySection:
    names = [pbx.name for pbx in pbxs]
    known = ", ".join(names) or "none"
    if section.pbx and section.pbxs:
        raise ValueError(f"the key {section.name!r} has both pbx and pbxs; give one of them")
    if not section.pbxs and not section.pbx and len(names) == 1:
        return section.model_copy(update={"pbx": names[0]})
    if not section.pbxs and not section.pbx:
        raise ValueError(f"the key {section.name!r} names no pbx; known are: {known}")
    tenants = {pbx.name: pbx.tenant for pbx in pbxs}
    for word in section.words if names else ():
        if not served_of((word,), tenants):
            what = f"tenant {word.removeprefix(TENANT)!r}" if TENANT in word else f"pbx {word!r}"
            raise ValueError(f"the key {section.name!r} is for the {what}; known are: {known}")
    return section


def _differ(what: str, names: list[str] | tuple[str, ...]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two {what} are named {', '.join(twice)}; names must differ")
