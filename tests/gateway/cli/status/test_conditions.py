"""What is wrong with a site, and with which exit code that is told."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.cli.status.conditions import PROCESS_SILENCE_S, SiteStatus
from monitor.shared.process_status import PbxRole
from tests.gateway.cli.status.scene import AT, EARLIER, GATEWAY, LEADER, PBX, SERVER, SILENT, SITE


def with_pbx(**changes: Any) -> SiteStatus:
    site: SiteStatus = replace(SITE, pbxs=(replace(PBX, **changes),))
    return site


def with_gateway(**changes: Any) -> SiteStatus:
    site: SiteStatus = replace(SITE, gateways=(replace(GATEWAY, **changes),))
    return site


def test_where_all_is_live_nothing_is_wrong() -> None:
    assert (list(SITE.troubles), list(SITE.unknown), SITE.code) == ([], [], 0)


SERVING = GATEWAY.pbxs["main"]
FULL = replace(PBX.standbys[0], trouble="its disk is full.")
NEVER_REACHED = "first leads and has not reached the PBX yet: sudo callmon check says why."


@pytest.mark.parametrize(
    ("site", "trouble"),
    [
        (with_pbx(leader=None), "main: no monitor leads; see callmon-monitor on its hosts."),
        (
            with_pbx(silent=True),
            f"main: nothing has been heard from a monitor since {AT}; the state shown is older.",
        ),
        (
            with_pbx(silent=True, heartbeat="2026-03-04T06:00:00.000Z"),
            (
                "main: nothing has been heard from a monitor since 2026-03-04T06:00:00.000Z; "
                f"the state shown is older. {NEVER_REACHED}"
            ),
        ),
        (
            with_pbx(position=None, heartbeat=None),
            f"main: no monitor has written a state yet. {NEVER_REACHED}",
        ),
        (
            with_pbx(position=None, heartbeat=None, leader=replace(LEADER, silent_for_s=SILENT)),
            "main: no monitor has written a state yet.",
        ),
        (with_pbx(book_position=None), "main: no address book has been read yet."),
        (
            with_pbx(standbys=(replace(FULL, silent_for_s=SILENT),)),
            "main: the standby second has sent no sign of life for 99 s; did it die?",
        ),
        (
            with_pbx(leader=replace(LEADER, trouble="commands are refused: its disk is full.")),
            "monitor first: commands are refused: its disk is full.",
        ),
        (
            replace(SITE, pbxs=(with_pbx(standbys=(FULL,)).pbxs[0],) * 2),
            "monitor second: its disk is full.",
        ),
        (
            with_pbx(connection="lost", reason="it hangs"),
            f"main: the PBX is lost since {EARLIER}: it hangs",
        ),
        (with_pbx(connection="lost"), f"main: the PBX is lost since {EARLIER}."),
        (
            with_gateway(seen=replace(GATEWAY.seen, silent_for_s=SILENT)),
            "gateway left (process 21): it has sent no sign of life for 99 s; did it die?",
        ),
        (
            with_gateway(worker=2, pbxs={"main": replace(SERVING, position=None)}),
            "gateway left (process 21, worker 2): it has no state of main yet.",
        ),
        (
            with_gateway(pbxs={"main": replace(SERVING, book_position=None)}),
            "gateway left (process 21): it has no state of main yet.",
        ),
        (
            with_gateway(pbxs={"main": replace(SERVING, stale_since=AT)}),
            f"gateway left (process 21): it has heard nothing of main since {AT}.",
        ),
        (replace(SITE, gateways=()), "No gateway runs; see callmon-gateway on its hosts."),
    ],
)
def test_one_thing_that_is_wrong_is_one_sentence(site: SiteStatus, trouble: str) -> None:
    assert list(site.troubles) == [trouble]
    assert site.code == 1


@pytest.mark.parametrize(
    ("site", "unknown"),
    [
        (
            with_pbx(not_allowed=("position",), position=None, heartbeat=None, book_position=None),
            "main: this user of Redis may not read the position.",
        ),
        (
            with_pbx(not_allowed=("state",), connection=""),
            "main: this user of Redis may not read the state.",
        ),
        (
            replace(SITE, gateways=None),
            ("This user of Redis may not read gateways and standbys; see deploy/redis/users.acl."),
        ),
        (
            replace(SITE, redis=replace(SERVER, reachable=False, reason="nothing listens")),
            "Redis: nothing listens",
        ),
    ],
)
def test_what_may_not_be_read_is_not_called_wrong(site: SiteStatus, unknown: str) -> None:
    assert list(site.troubles) == []
    assert list(site.unknown) == [unknown]
    assert site.code == 2


def test_a_lease_that_may_not_be_read_leaves_nothing_unknown() -> None:
    site = with_pbx(not_allowed=("lease",), leader=None)
    assert (list(site.troubles), list(site.unknown), site.code) == ([], [], 0)


def test_what_is_wrong_is_told_before_what_is_unknown() -> None:
    site = replace(with_pbx(silent=True), gateways=None)
    assert (site.code, len(list(site.unknown))) == (1, 1)


def test_a_process_is_silent_after_so_long_and_not_before() -> None:
    seen = GATEWAY.seen
    assert not replace(seen, silent_for_s=PROCESS_SILENCE_S).silent
    assert replace(seen, silent_for_s=PROCESS_SILENCE_S + 0.1).silent


def test_a_silent_gateways_last_words_of_its_pbxs_are_not_repeated() -> None:
    silent = with_gateway(
        seen=replace(GATEWAY.seen, silent_for_s=SILENT), pbxs={"main": PbxRole("serving")}
    )
    assert len(list(silent.troubles)) == 1
