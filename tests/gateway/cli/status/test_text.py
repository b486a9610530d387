"""The screen of ``callmon status``."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.cli.status.conditions import SiteStatus
from gateway.cli.status.text import words
from tests.gateway.cli.status.scene import AT, EARLIER, GATEWAY, NOW, PBX, SERVER, SILENT, SITE


def said(site: SiteStatus) -> list[str]:
    return list(words(site, NOW))


def line_of(title: str, site: SiteStatus) -> str:
    [found] = [line for line in said(site) if line.startswith(title)]
    return found.removeprefix(title).strip()


def with_pbx(**changes: Any) -> SiteStatus:
    site: SiteStatus = replace(SITE, pbxs=(replace(PBX, **changes),))
    return site


def test_where_all_is_live_the_screen_says_who_does_what() -> None:
    assert said(SITE) == [
        "callmon        1.2",
        "settings file  /etc/callmon/callmon.toml",
        "Redis          redis://127.0.0.1:6379: Valkey 8.1, round trip 0.4 ms, memory 3.0 MiB",
        "",
        "PBX main       live",
        f"  leads        first, callmon 1.2, since {EARLIER} (2 h)",
        "  stands by    second, callmon 1.2",
        "  heartbeat    0.5 s ago",
        "  position     2-a/7, address book 2-b/3",
        (
            f"  3CX          connected since {EARLIER} (2 h), version 20.0, pbx.example, "
            "licence for 32 calls, calls from callcontrol"
        ),
        "  now          3 calls, 12 extensions",
        "",
        "gateways       1, with 2 subscribers",
        f"  left (process 21) at http://127.0.0.1:8080: callmon 1.2, since {EARLIER} (2 h)",
        "    main: 2 subscribers, at 2-a/7",
        "",
        "All is live.",
    ]


def test_of_several_pbxs_it_says_how_many_each_monitor_leads() -> None:
    second = replace(PBX.standbys[0], name="second")
    swapped = replace(PBX, name="other", leader=second, standbys=())
    alone = replace(PBX, name="third", leader=None, standbys=(replace(second, name="idle"),))
    site = replace(SITE, pbxs=(PBX, swapped, alone))
    assert line_of("monitors", site) == (
        "first leads 1, idle leads 0, second leads 1, nobody leads 1 of 3 PBXs"
    )


def test_what_is_wrong_stands_under_the_verdict() -> None:
    site = replace(with_pbx(leader=None, silent=True), gateways=None)
    lines = said(site)
    verdict = lines.index("Something is stale or missing:")
    assert lines[verdict + 1 :] == [f"  {sentence}" for sentence in (*site.troubles, *site.unknown)]
    assert line_of("PBX main", site) == "stale or missing"


def test_without_redis_nothing_else_is_told() -> None:
    away = replace(SITE, redis=replace(SERVER, reachable=False, reason="nothing listens"))
    assert said(away) == [
        "callmon        1.2",
        "settings file  /etc/callmon/callmon.toml",
        "Redis          redis://127.0.0.1:6379: cannot be asked",
        "",
        "The status is not known:",
        "  Redis: nothing listens",
    ]


@pytest.mark.parametrize(
    ("age", "silent", "says"),
    [
        (0.5, False, "0.5 s ago"),
        (-0.5, False, "0.0 s ago"),
        (10.0, False, "10.0 s ago"),
        (40.0, False, "they come; the monitor's clock is 40 s behind this host's"),
        (-90.0, False, "they come; the monitor's clock is 90 s ahead of this host's"),
        (40.0, True, f"the last one 40 s ago, at {AT}"),
        (7_300.0, True, f"the last one 2 h ago, at {AT}"),
        (None, True, "none"),
    ],
)
def test_a_heartbeat_is_told_from_a_clock_that_differs(
    age: float | None, silent: bool, says: str
) -> None:
    assert line_of("  heartbeat", with_pbx(heartbeat_age_s=age, silent=silent)) == says


@pytest.mark.parametrize(
    ("title", "changes", "says"),
    [
        ("  leads", {"leader": None}, "nobody"),
        ("  leads", {"leader": None, "not_allowed": ("lease",)}, "this user may not see which one"),
        ("  stands by", {"standbys": ()}, "no known monitor"),
        (
            "  stands by",
            {"standbys": (replace(PBX.standbys[0], silent_for_s=SILENT, version=""),)},
            "second, callmon of an unknown version (silent)",
        ),
        ("  heartbeat", {"not_allowed": ("position",)}, "not allowed for this user"),
        ("  position", {"position": None, "book_position": None}, "none, address book none"),
        ("  3CX", {"connection": ""}, "nothing is known"),
        ("  3CX", {"not_allowed": ("state",)}, "not allowed for this user"),
        (
            "  3CX",
            {
                "connection": "lost", "silent": True, "reason": "It hangs.", "version": "",
                "fqdn": "", "licence_limit": None, "source": "", "connection_since": None,
            },
            "when last heard: lost since an unknown time, It hangs",
        ),
        ("  now", {"calls": None, "extensions": None}, "not allowed for this user"),
        ("  now", {"calls": 0}, "0 calls, 12 extensions"),
    ],
)  # fmt: skip
def test_what_is_not_known_has_words_too(title: str, changes: dict[str, Any], says: str) -> None:
    assert line_of(title, with_pbx(**changes)) == says


def test_redis_says_what_this_user_may_know() -> None:
    limited = replace(SERVER, memory_limit_bytes=1024 * 1024 * 1024)
    assert "memory 3.0 of 1024 MiB" in line_of("Redis", replace(SITE, redis=limited))
    bare = replace(SERVER, kind="", memory_bytes=None, not_allowed=("version", "memory"))
    assert line_of("Redis", replace(SITE, redis=bare)) == (
        "redis://127.0.0.1:6379: answers, round trip 0.4 ms; "
        "version and memory: not allowed for this user"
    )


def test_a_silent_gateway_counts_no_subscribers() -> None:
    seen = replace(GATEWAY.seen, silent_for_s=SILENT)
    site = replace(SITE, gateways=(GATEWAY, replace(GATEWAY, seen=seen, worker=2)))
    lines = said(site)
    assert "gateways       2, with 2 subscribers" in lines
    place = next(n for n, line in enumerate(lines) if "worker 2" in line)
    assert lines[place + 1] == "    silent for 99 s"
    assert line_of("gateways", replace(SITE, gateways=None)) == "not allowed for this user"
    one = replace(GATEWAY, subscribers=1)
    assert line_of("gateways", replace(SITE, gateways=(one,))) == "1, with 1 subscriber"


def test_a_pbxs_text_holds_nothing_that_a_terminal_obeys() -> None:
    hostile = with_pbx(fqdn="pbx\x1b[2J\n\u202e", connection_since="no instant\x07")
    assert "since no instant?," in line_of("  3CX", hostile)
    assert all(line.isprintable() for line in said(hostile))
    assert len(said(hostile)) == len(said(SITE))


def test_what_the_leader_notes_is_shown_at_the_pbx_and_nothing_is_wrong_for_it() -> None:
    lines = said(with_pbx(notes=("Queue 800: odd.", "Queue 801: odd too.")))
    assert [line.split(maxsplit=1) for line in lines if line.startswith("  note")] == [
        ["note", "Queue 800: odd."],
        ["note", "Queue 801: odd too."],
    ]
    assert lines[-1] == "All is live."
