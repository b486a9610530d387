"""Run conversations: ``python -m tests.conversations VERSION COMMAND…`` with a client.

VERSION: of the protocol that the client speaks, such as 1.0. COMMAND gets the address and the files
as further arguments; see README.md. ``--record NAME…`` in place of both replaces what the server
sends in these conversations by what a real gateway sends today.
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import replace

from tests.conversations import gateway
from tests.conversations.conversation import FOLDER, conversations, read, write
from tests.conversations.driven import driven


async def _record(names: list[str]) -> None:
    for name in names:
        conversation = read(FOLDER / f"{name}.json")
        if conversation.gateway is None:
            raise SystemExit(f"{name}: no gateway says this; it has no `gateway`.")
        write(replace(conversation, server=tuple(await gateway.held(conversation))))


def main() -> int:
    """Return the exit code: 1 if the client did anything wrong."""
    match sys.argv[1:]:
        case ["--record", *names]:
            asyncio.run(_record(names or [each.name for each in conversations() if each.gateway]))
            return 0
        case [version, *command] if command and re.fullmatch(r"[0-9]+\.[0-9]+", version):
            faults = asyncio.run(driven(command, conversations(version)))
            print(*faults or ["All conversations were held."], sep="\n")
            return 1 if faults else 0
        case _:
            print(__doc__)
            return 2


if __name__ == "__main__":
    sys.exit(main())
