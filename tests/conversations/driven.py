"""Have a program of any language hold conversations, and judge what it reports."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from tests.conversations import peer
from tests.conversations.conversation import LIMIT_S, Conversation, wrong

LONGEST_REPORT_BYTES: Final = 1024 * 1024


async def driven(command: Sequence[str], wanted: Sequence[Conversation]) -> list[str]:
    """Everything that is wrong; empty if the client held all conversations.

    The program gets the server's address and the files as arguments, and prints its reports. It
    is judged by what it has printed when it ends, or after a minute.
    """
    reports: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    async with peer.serving(wanted) as (address, peers):
        process = await asyncio.create_subprocess_exec(
            *(*command, address, *(str(each.file) for each in wanted)),
            stdout=asyncio.subprocess.PIPE,
            limit=LONGEST_REPORT_BYTES,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(LIMIT_S):
                async for line in process.stdout:
                    report = json.loads(line)
                    reports[report["conversation"]].append(report)
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    faults = [fault for each in wanted for fault in wrong(each, reports[each.name])]
    faults += peer.faults(peers)
    return faults if process.returncode == 0 else [*faults, f"{command[0]}: {process.returncode}"]
