"""Run a simulated PBX in a process of its own, for tests to stop and wake.

It prints its address and its secret.
"""

from __future__ import annotations

import asyncio

from monitor.simulator.server import SimulatedPbx, SimulatorSettings


async def main() -> None:
    async with SimulatedPbx(SimulatorSettings(extensions=10, queues=1, rate=60)) as pbx:
        print(pbx.url, pbx.client_id, pbx.client_secret, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
