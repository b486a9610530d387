"""Test a whole site on a Redis under Sentinels and on a Cluster, under load.

Monitor and gateway are processes, the servers are real; a kill is a kill.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.shared.redis.key_names import SpaceKeys
from monitor.simulator.server import SimulatedPbx
from tests.bus import until
from tests.redis_groups import clustered_group, watched_group
from tests.system.processes import site, watching
from tests.system.stack import PBX
from tests.system.test_restarts import WITHIN, right


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(False, id="all writes kept", marks=pytest.mark.soak),
        pytest.param(True, id="the last writes lost"),
    ],
)
async def test_a_master_is_killed_and_the_sentinels_make_the_replica_the_master(
    pbx: SimulatedPbx, tmp_path: Path, lost: bool
) -> None:
    async with (
        watched_group() as group,
        site(pbx, group, tmp_path) as place,
        watching(place) as held,
    ):
        await right(pbx, held)
        epoch = held.epoch
        if lost:
            await group.lag()
            updates = held.updates
            await until(lambda: held.updates > updates + 3, WITHIN)
        group.master.kill()
        await group.promoted()
        updates = held.updates
        await until(lambda: held.updates > updates and not held.stale, WITHIN)
        await right(pbx, held)
        if lost:
            assert held.epoch > epoch, (
                "what subscribers hold was never written there: history begins anew"
            )


async def test_the_keys_of_a_pbx_move_to_another_node_of_the_cluster(
    pbx: SimulatedPbx, tmp_path: Path
) -> None:
    async with (
        clustered_group() as group,
        site(pbx, group, tmp_path) as place,
        watching(place) as held,
    ):
        await right(pbx, held)
        key = SpaceKeys(PBX, "live").position
        before = await group.holder(key)
        await group.move(key)
        assert await group.holder(key) is not before
        await right(pbx, held)
        updates = held.updates
        await until(lambda: held.updates > updates and not held.stale, WITHIN)


async def test_a_master_of_the_cluster_is_killed_and_its_replica_takes_its_place(
    pbx: SimulatedPbx, tmp_path: Path
) -> None:
    async with clustered_group() as group:
        key = SpaceKeys(PBX, "live").position
        master, replica = await group.replicate(key)
        async with site(pbx, group, tmp_path) as place, watching(place) as held:
            await right(pbx, held)
            master.kill()
            await group.promoted(replica)
            updates = held.updates
            await until(lambda: held.updates > updates and not held.stale, WITHIN)
            assert await group.holder(key) is replica
            await right(pbx, held)
