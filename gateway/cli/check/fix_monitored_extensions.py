"""Add extensions to those that an API client monitors, for ``callmon check --fix``.

3CX keeps them at the client itself, as ``Peers`` of its ServicePrincipal. A change sends the whole
list.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from monitor.pbx.v20_client import XAPI, PbxClient
from monitor.shared.errors import PbxRefused

Ask = Callable[[str], bool]
"""Asks the user a question and returns True for yes."""


async def add_peers(client: PbxClient, missing: Collection[str], ask: Ask) -> str:
    """Add these extensions to those that the API client monitors, if the user agrees.

    Extensions that it monitors already stay. Returns in words what was done. Raises PbxError if the
    PBX does not do it.
    """
    client_id = client.settings.client_id
    found = await client.collection(
        "ServicePrincipals", {"$select": "Id,Number", "$expand": "Peers"}
    )
    own = next((row for row in found if row.get("Number") == client_id), None)
    if own is None:
        raise PbxRefused(
            f"The API client {client_id} cannot see itself at the PBX: an administrator must add "
            f"the extensions",
            404,
        )
    held = [str(peer["Number"]) for peer in own.get("Peers") or () if peer.get("Number")]
    new = sorted(set(missing) - set(held), key=lambda number: (len(number), number))
    if not new:
        return "they are on its list already; the PBX does not show them for another reason"
    some = ", ".join(new[:10]) + (" …" if len(new) > 10 else "")
    if not ask(
        f"Add {len(new)} extensions ({some}) to those that the API client {client_id} monitors, "
        f"at the PBX?"
    ):
        return "nothing was changed"
    peers = [{"Number": number} for number in (*held, *new)]
    await client.patch(f"{XAPI}/ServicePrincipals({own['Id']})", {"Peers": peers})
    return f"{len(new)} were added ({some})"
