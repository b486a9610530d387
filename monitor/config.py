"""Define the monitor's settings: which PBXs to follow, and how."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from monitor.shared.api_keys import PBX_NAME
from monitor.shared.settings.loader import FileSettings, Section, secret_in
from monitor.shared.time_zones import UnknownZone, zone_info

Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _one_of(name: str, secret: SecretStr | None, file: Path | None) -> None:
    """Raise ValueError unless a secret is given in exactly one of two ways."""
    if (secret, file).count(None) == 1:
        return
    if file is None:
        raise ValueError(f"give either {name} or {name}_file")
    raise ValueError(f"{name} and {name}_file are both given; leave one of them out")


class DatabaseSection(Section):
    """Define ``[pbx.database]``: the PBX's PostgreSQL, for the command ``query``.

    Without this section SQL is not offered.
    """

    host: str = ""
    """Host name or address. A directory, such as ``/run/postgresql``, means a Unix socket.
    Empty: the host of the PBX's ``url``."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    name: str = "database_single"
    user: str = Field(min_length=1)
    """A role that can only read, with at most 8 connections. Another role is not used."""
    password: SecretStr | None = None
    password_file: Path | None = None
    """A file that holds the password, in place of ``password``."""
    tls: Literal["verify", "require", "off"] = "verify"
    """``verify``: encrypted, and the certificate is checked. ``require``: encrypted, with any
    certificate. ``off``: not encrypted, for a network that nobody else uses."""
    ca_file: Path | None = None
    """Certificates to check the database's certificate against, if no public authority signed
    it."""
    timeout: Annotated[float, Field(ge=0.1, le=50)] = 10.0
    """Seconds that a query may take; a longer one is refused."""
    max_answer_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 1_048_576
    """Bytes that an answer may have; a larger one is refused."""

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        try:
            if not value.startswith("/"):
                value.encode("idna")
        except UnicodeError:
            raise ValueError("write the name or address of a host, or a directory") from None
        return value

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        _one_of("password", self.password, self.password_file)
        return self

    def secret(self) -> str:
        """Return the password.

        Raises like :func:`~monitor.shared.settings.loader.secret_in`.
        """
        if self.password is not None:
            return self.password.get_secret_value()
        assert self.password_file is not None  # noqa: S101 - the validator saw to it
        return secret_in(self.password_file)


class FiguresSection(Section):
    """Define ``[pbx.figures]``: how the day's statistics are counted."""

    time_zone: str = ""
    """IANA name of the time zone whose midnight begins the day, such as ``Europe/Berlin``.
    Empty: the zone of the PBX's office hours, or UTC if the PBX does not say."""
    answer_target: Annotated[int, Field(ge=1, le=3_600)] = 20
    """Seconds within which a call should be answered, for queues that have no time of their own
    at the PBX."""
    answer_targets: dict[str, Annotated[int, Field(ge=1, le=3_600)]] = Field(default_factory=dict)
    """Queue's number → seconds. This comes before all other targets."""
    short_abandon_threshold: Annotated[int, Field(ge=0, le=3_600)] = 5
    """Seconds. A caller who gives up earlier is counted apart, and not against the service
    level."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            return zone_info(value).key if value else ""
        except UnknownZone:
            raise ValueError('write an IANA name, such as "Europe/Berlin"') from None


class PbxSection(Section):
    """Define ``[[pbx]]``: one phone system."""

    name: str = Field(pattern=f"^{PBX_NAME}$")
    """Its name in keys, logs and Redis: small letters, digits, ``-`` and ``_``."""
    tenant: str = Field(default="", pattern=f"^({PBX_NAME})?$")
    """The PBX's owner, in the same letters: a key may be for all PBXs of a tenant."""
    url: str
    """Its address as in the web client: ``https://pbx.example.com:5001``. For ``webapi``: the
    address of the service."""
    source: Literal["auto", "callcontrol+activecalls", "activecalls", "webapi"] = "auto"
    """Interface that the calls come from. ``auto``: ``webapi`` if there is a ``key``, else what
    the PBX offers of 3CX's two interfaces. ``callcontrol+activecalls``: both of them, or there
    is not a connection. ``activecalls``: Call Control is not asked. ``webapi``: a service that
    speaks the documented interface, such as another callmon."""
    client_id: str = ""
    """Id of the API client that was made in the admin console under Integrations → API."""
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None
    """A file that holds the secret, in place of ``client_secret``."""
    key: SecretStr | None = None
    """The key to the service for ``webapi``, in place of ``client_id`` and its secret."""
    key_file: Path | None = None
    """A file that holds the key, in place of ``key``."""
    ca_file: Path | None = None
    """Certificates to check the PBX's certificate against, if no public authority signed it."""
    verify: bool = True
    did_map: dict[str, str] = Field(default_factory=dict)
    """Trunk or dialled number → name shown as ``did``, where the PBX gives none."""
    poll_interval: Seconds = 0.25
    """Seconds between two reads of the calls while they change, for sources that are polled:
    ActiveCalls and ``webapi``."""
    poll_idle: Seconds = 0.5
    """Seconds between two reads of the calls while nothing happens. In between, the interval
    grows step by step. A slow PBX is asked less often."""
    watchdog_interval: Seconds = 30.0
    """Seconds between full reads of Call Control, which find what events missed."""
    directory_interval: Seconds = 60.0
    states_interval: Seconds = 5.0
    """Seconds between two readings of all extensions' states, for ``webapi``."""
    contacts_interval: Seconds = 600.0
    request_timeout: Seconds = 10.0
    silence_timeout: Seconds = 4.5
    """Seconds without an answer from the PBX after which the connection is reported as lost. The
    PBX is asked every second; where calls are only read, ``poll_idle`` may pass
    first."""
    database: DatabaseSection | None = None
    figures: FiguresSection = Field(default_factory=FiguresSection)

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if not _is_address(value):
            raise ValueError(
                "must be the PBX's address alone, such as https://pbx.example.com:5001: with "
                "https:// in front, and nothing behind the port"
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        client = (self.client_id, self.client_secret, self.client_secret_file)
        keys = (self.key, self.key_file)
        if self.webapi:
            if self.database is not None:
                raise ValueError(
                    "the source webapi passes SQL on to the service, and takes no database"
                )
            if any(client):
                raise ValueError(
                    "the source webapi takes a key, and no client_id and client_secret"
                )
            _one_of("key", *keys)
        elif any(keys):
            raise ValueError(
                f"the source {self.source} takes client_id and client_secret, and no key"
            )
        elif not self.client_id:
            raise ValueError("client_id is missing")
        else:
            _one_of("client_secret", self.client_secret, self.client_secret_file)
        return self

    @property
    def webapi(self) -> bool:
        """Return whether the PBX is reached through the documented interface."""
        return self.source == "webapi" or (
            self.source == "auto" and not (self.key is None and self.key_file is None)
        )

    @property
    def secret_files(self) -> list[Path]:
        """Return the files with secrets that are named here."""
        password = None if self.database is None else self.database.password_file
        return [
            file for file in (self.client_secret_file, self.key_file, password) if file is not None
        ]

    @property
    def files(self) -> list[Path]:
        """Return all files that are named here."""
        authorities = (self.ca_file, None if self.database is None else self.database.ca_file)
        return [*self.secret_files, *(file for file in authorities if file is not None)]

    def secret(self) -> str:
        """Return the API client's secret, or the key.

        Raises like :func:`~monitor.shared.settings.loader.secret_in`.
        """
        given, file = (
            (self.key, self.key_file)
            if self.webapi
            else (self.client_secret, self.client_secret_file)
        )
        if given is not None:
            return given.get_secret_value()
        assert file is not None  # noqa: S101 - the validator saw to it
        return secret_in(file)


class MonitorSection(Section):
    """Define ``[monitor]``: this process."""

    name: str = Field(default_factory=lambda: re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname()))
    """Name shown in ``system``. Each running monitor adds a suffix of its own."""
    lease_duration: Annotated[float, Field(ge=2, le=60)] = 5.0
    """Seconds after which a standby takes over from a silent leader."""
    weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """This monitor's share of the PBXs, against the other monitors' weights. 0: it leads a PBX
    only while no other monitor can."""
    change_log_length: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """Number of changes kept for clients that reconnect."""
    change_log_bytes: Annotated[int, Field(ge=1_048_576, le=17_179_869_184)] = 67_108_864
    """Bytes of kept changes in each of a PBX's two spaces. Of large changes fewer are kept."""
    state_dir: Path | None = None
    """Directory for what must outlive Redis: API keys, Idempotency-Keys, the audit log. None:
    these are kept for this run only."""


class MonitorSettings(FileSettings):
    """Hold all settings that the monitor reads from the file."""

    pbx: tuple[PbxSection, ...] = ()
    monitor: MonitorSection = MonitorSection()
    gateway: Any = None
    """The gateway's section, not read here."""
    keys: Any = None
    """The gateway's keys, not read here."""

    @field_validator("pbx")
    @classmethod
    def _names(cls, value: tuple[PbxSection, ...]) -> tuple[PbxSection, ...]:
        names = [section.name for section in value]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two systems are named {', '.join(sorted(twice))}; names must differ")
        return value


def _is_address(url: str) -> bool:
    """Return whether the URL has a scheme, a host, perhaps a port, and nothing else."""
    try:
        parts = urlsplit(url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:  # brackets without an IPv6 address, a wrong port, or a name such as "a..b"
        return False
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    return (
        parts.scheme in ("https", "http") and bool(parts.hostname) and port != 0 and not any(rest)
    )
