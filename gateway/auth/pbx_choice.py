"""Choose the PBX that a request is for. Pure.

An address or the header ``Callmon-Pbx`` names a PBX. A key for one PBX needs neither. A key for
several needs one, so that what it may ask for never depends on how many PBXs are served.

A PBX that the key is not for looks the same as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.auth.api_keys import ApiKey
from gateway.errors import BadParameter, PbxNotNamed, UnknownPbx
from gateway.parameters import quoted
from monitor.shared.api_keys import EVERY_PBX, TENANT

HEADER: Final = "Callmon-Pbx"
"""The header that names a PBX."""
_MOST_SHOWN: Final = 10


class PbxChoice:
    """Choose among the served PBXs. ``tenants``: name of each PBX → its tenant, or empty."""

    def __init__(self, tenants: Mapping[str, str]) -> None:
        self._tenants = tenants

    def reach(self, key: ApiKey) -> frozenset[str]:
        """Return the names of the served PBXs that the key is for."""
        if not key.pbxs:
            return frozenset({key.pbx}) & self._tenants.keys()
        if key.reach:
            return key.reach
        return frozenset(served_of(key.pbxs, self._tenants))

    def chosen(self, key: ApiKey, named: Iterable[str | None], *, of_all: bool = False) -> ApiKey:
        """Return the key as that of the PBX that the request names.

        ``named``: the PBX from each way to name it; None or empty for a way that is not used.
        ``of_all``: the request may be about all PBXs of the key, and needs no name. Raises
        PbxNotNamed, UnknownPbx, and BadParameter for two different names.
        """
        names = sorted({name for name in named if name})
        if len(names) > 1:
            raise BadParameter(
                f"Two different PBXs were named: {quoted(names[0])} and {quoted(names[1])}."
            )
        if not key.pbxs and not names and key.pbx not in self._tenants:
            raise UnknownPbx("The PBX of this key is not served here.")
        reach = self.reach(key)
        if names and names[0] not in reach:
            raise UnknownPbx(f"There is no PBX {quoted(names[0])}. {_known(reach)}")
        if not key.pbxs:
            return key
        if not reach:
            raise UnknownPbx(_known(reach))
        if not names and of_all:
            return replace(key, pbx=min(reach), reach=reach, stored_with=key.home, named=False)
        if not names:
            raise PbxNotNamed(
                "This key is for several PBXs: name one in the address, as "
                f"/webapi/{{key}}/{{pbx}}/{{command}}, or in the header {HEADER}. {_known(reach)}"
            )
        return replace(key, pbx=names[0], reach=reach, stored_with=key.home, named=True)


def served_of(words: Iterable[str], tenants: Mapping[str, str]) -> tuple[str, ...]:
    """Return the PBXs that these words mean, in the order of ``tenants``.

    ``words``: as a key for several PBXs holds them. ``tenants``: PBX → its tenant.
    """
    listed = frozenset(words)
    if EVERY_PBX in listed:
        return tuple(tenants)
    return tuple(
        name
        for name, tenant in tenants.items()
        if name in listed or (tenant and TENANT + tenant in listed)
    )


def _known(reach: frozenset[str]) -> str:
    if not reach:
        return "No PBX of this key is served here."
    shown = sorted(reach)[:_MOST_SHOWN]
    more = len(reach) - len(shown)
    return f"This key is for {', '.join(shown)}{f' and {more} more' if more else ''}."
