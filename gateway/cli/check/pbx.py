"""Test a PBX for ``callmon check``.

It tests the connection, the API client's rights, the monitored extensions, the clock and the
database. If one test cannot tell, it says so and the next one runs all the same.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.cli.check.finding import Finding
from gateway.cli.check.fix_monitored_extensions import Ask, add_peers
from monitor import run
from monitor.config import PbxSection
from monitor.pbx.clock import PbxClock
from monitor.pbx.http_client.token import Claims
from monitor.pbx.myphone.client import MyPhoneClient
from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.pbx.webapi import parser
from monitor.pbx.webapi.client import WebApiClient
from monitor.pbx.xapi.directory_reader import COLLECTIONS, MISSING
from monitor.shared.errors import CommandRefused, ConfigError, PbxError, PbxRefused, PbxUnreachable
from monitor.shared.timestamps import from_unix

_SOON_DAYS: Final = 14
"""Days before a certificate's end from which the check complains."""
_APART_S: Final = 30.0
"""Seconds by which the clocks may differ."""
_LICENCE: Final = "Enterprise"
"""Role that a token has if the licence includes the interfaces."""

_READ: Final = (*COLLECTIONS, "ActiveCalls")
_MISSING: Final = {**MISSING, "ActiveCalls": "no calls without a monitored phone, as in a queue"}
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class _Site:
    """Represent a PBX that gave us a token.

    ``ahead``: seconds by which its clock is ahead of ours; None: it does not say.
    """

    client: PbxClient
    name: str
    claims: Claims
    ahead: float | None

    def lacking(self, tick: str) -> str:
        """Return what to do if an interface is refused.

        ``tick``: the interface's name at the API client.
        """
        if self.claims.roles and _LICENCE not in self.claims.roles:
            return f"the PBX's licence is too small: its token has no role {_LICENCE}"
        return (
            f"tick {tick} at the API client (Integrations → API); 3CX needs an Enterprise or "
            f"AI licence for that"
        )


async def look_at(section: PbxSection, fix: Ask | None) -> AsyncIterator[Finding]:
    """Yield each finding about one PBX.

    ``fix``: is asked before anything is changed; None: nothing is changed.
    """
    what = f"PBX {section.name}"
    try:
        if section.webapi:
            yield await _served(section)
            return
        client = PbxClient(run.pbx_settings(section))
    except ConfigError as error:
        yield _unusable(section, error)
        return
    try:
        asked = time.time()
        claims = await client.whoami()
        between = (asked + time.time()) / 2
        ahead = (
            None if claims.issued is None else claims.issued + 0.5 - between
        )  # the token's time has whole seconds
        yield Finding(what, f"token given; roles: {', '.join(sorted(claims.roles)) or 'not told'}")
        async for finding in _of_site(_Site(client, what, claims, ahead), section, fix):
            yield finding
    except PbxError as error:
        yield Finding(what, wrong=str(error))
    finally:
        await client.close()


async def _of_site(site: _Site, section: PbxSection, fix: Ask | None) -> AsyncIterator[Finding]:
    yield await _tried(f"{site.name}, XAPI", _xapi(site))
    if section.source != "activecalls":
        yield await _tried(f"{site.name}, Call Control", _call_control(site, fix))
    yield await _tried(f"{site.name}, web client", _logins(site))
    yield _certificate(site)
    yield await _tried(f"{site.name}, clock", _clock(site))
    if section.database is not None:
        yield await _database(section)


async def _tried(what: str, trial: Awaitable[Finding]) -> Finding:
    try:
        return await trial
    except PbxError as error:
        advice = " Try again, or see the PBX." if isinstance(error, PbxUnreachable) else ""
        return Finding(what, wrong=f"{error}{advice}")


def _unusable(section: PbxSection, error: ConfigError) -> Finding:
    return Finding(f"PBX {section.name}", wrong=str(error).removeprefix(f"pbx {section.name}: "))


async def _served(section: PbxSection) -> Finding:
    """Test a PBX that is reached through the documented interface. Raises ConfigError."""
    what = f"PBX {section.name}, documented interface"
    client = WebApiClient(run.webapi_settings(section), PbxClock())
    try:
        told = await client.get("all.ext.get", parser.numbers)
        if told.stale_since:
            lost = (
                f"{section.url} answers, but has heard nothing from its PBX since "
                f"{told.stale_since}"
            )
            return Finding(what, wrong=lost)
        return Finding(what, f"{section.url} answers; {len(told.value)} extensions")
    except PbxRefused as error:
        return Finding(
            what, wrong=f"{error} Does {section.url} serve /webapi, and is the key correct?"
        )
    except PbxError as error:
        return Finding(what, wrong=str(error))
    finally:
        await client.close()


async def _xapi(site: _Site) -> Finding:
    what, refused = f"{site.name}, XAPI", dict[str, int]()
    version = ""
    try:
        status = await site.client.system_status()
        version = (
            f"{status.fqdn or site.client.settings.url}, version {status.version or 'not told'}"
        )
    except PbxRefused as error:
        refused["SystemStatus"] = error.status
    others: dict[str, Callable[[], Awaitable[object]]] = {
        name: partial(site.client.get_json, f"{XAPI}/{name}", {"$top": "1"}) for name in _READ
    }
    others["OfficeHours"] = site.client.time_zone
    for name, read in others.items():
        try:
            await read()
        except PbxRefused as error:
            refused[name] = error.status
    if len(refused) > len(others):
        return Finding(what, wrong=f"the PBX refuses every read: {site.lacking('XAPI')}")
    return Finding(what, version, _without(refused))


def _without(refused: Mapping[str, int]) -> str:
    """Return which parts are refused, what is missing therefore, and what to do.

    ``refused``: part → HTTP status.
    """
    lacking = [f"{name} ({_MISSING[name]})" for name, told in refused.items() if told != _NOT_FOUND]
    unknown = [f"{name} ({_MISSING[name]})" for name, told in refused.items() if told == _NOT_FOUND]
    told = []
    if lacking:
        told.append(
            f"the API client may not read {'; '.join(lacking)}: give it the role System "
            f"Administrator or System Owner"
        )
    if unknown:
        told.append(f"the PBX has no {'; '.join(unknown)}: another version of 3CX may have it")
    return ". Besides, ".join(told)


async def _call_control(site: _Site, fix: Ask | None) -> Finding:
    what, client = f"{site.name}, Call Control", site.client
    try:
        visible = set((await client.full_state()).dns)
    except PbxRefused:
        return Finding(what, wrong=f"the PBX refuses it: {site.lacking('Call Control API')}")
    try:
        users = await client.collection("Users", {"$select": "Id,Number"})
    except PbxRefused:
        return Finding(
            what, f"{len(visible)} DNs monitored; whether that is all of them XAPI does not tell"
        )
    extensions = {str(user.get("Number")) for user in users}
    missing = sorted(extensions - visible)
    if missing:
        some = ", ".join(missing[:5]) + (" …" if len(missing) > 5 else "")
        found = f"{len(missing)} extensions are not monitored ({some})"
        if fix is None:
            return Finding(
                what, wrong=f"{found}: add them at the API client, or let callmon check --fix do it"
            )
        return await _added(client, what, missing, found, fix)
    return Finding(
        what, f"{len(visible)} DNs monitored, all {len(extensions)} extensions among them"
    )


async def _added(
    client: PbxClient, what: str, missing: Collection[str], found: str, fix: Ask
) -> Finding:
    try:
        done = await add_peers(client, missing, fix)
        left = set(missing) - set((await client.full_state()).dns)
    except PbxError as error:
        return Finding(
            what, wrong=f"{found}, and the PBX does not let this client add them: {error}"
        )
    return Finding(what, f"{found}: {done}", f"{found}: {done}" if left else "")


async def _logins(site: _Site) -> Finding:
    """Test the web client's interface.

    Only through it logins to single queues can be read and changed.
    """
    what = f"{site.name}, web client"
    web = MyPhoneClient(site.client)
    try:
        queues = await web.queues_info()
    except CommandRefused as refused:
        note = (
            f"{refused} Without it qStatus is not known and ext.queue.set does not work; "
            f"everything else works."
        )
        return Finding(what, note)
    finally:
        await web.close()
    return Finding(what, f"logins to {len(queues)} queues can be read")


def _certificate(site: _Site) -> Finding:
    """Test whether the PBX's certificate is valid for ``_SOON_DAYS`` more days."""
    what, ends = f"{site.name}, certificate", site.client.counters.certificate_ends
    if ends is None:
        plain = "the address is plain http" if site.client.tls is None else "verify is off"
        return Finding(what, f"none is checked: {plain}")
    days = int((ends - time.time()) // 86_400)
    until = from_unix(ends)[:10]
    if days < _SOON_DAYS:
        left = f"it holds until {until} only, {days} days more"
        return Finding(what, wrong=f"{left}; 3CX renews its own, others must be renewed")
    return Finding(what, f"holds until {until}")


async def _clock(site: _Site) -> Finding:
    """Test whether PBX and this host agree on the time.

    Calls have the PBX's time; the logs and the audit log have this host's.
    """
    what, ahead = f"{site.name}, clock", site.ahead
    if ahead is None and (told := (await site.client.active_calls()).server_now) is not None:
        ahead = told - time.time()
    if ahead is None:
        return Finding(
            what, "its token has no time, and there are no calls now, which would have one"
        )
    words = f"the PBX's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this host's"
    return Finding(what, words, f"{words}: set both clocks by NTP" if abs(ahead) > _APART_S else "")


async def _database(section: PbxSection) -> Finding:
    """Test whether SQL can be offered: the database lets us in, and the role can only read."""
    try:
        database = run.database(section)
    except ConfigError as error:
        return _unusable(section, error)
    what = f"PBX {section.name}, database"
    if database is None:
        return Finding(what, "none in the settings")
    try:
        return Finding(what, await database.check())
    except (CommandRefused, PbxError) as error:
        return Finding(what, wrong=str(error))
