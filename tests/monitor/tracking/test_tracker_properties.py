"""Test all orders of facts: no ghost calls, none missing, and an edit for every change."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.facts import (
    ActiveCall,
    ActiveCallsRead,
    ConnectionChanged,
    Fact,
    Participant,
    ParticipantGone,
    ParticipantSeen,
    ParticipantsRead,
)
from tests.monitor.tracking.pbx_facts import EXTENSIONS, NOON, Told, directory

_dn = st.sampled_from([*EXTENSIONS, "199", "800", "10000"])
_time = st.floats(0, 100).map(lambda seconds: NOON + seconds)
_text = st.sampled_from(
    [
        "",
        "100 Ext 100",
        "101 Ext 101, 102 Ext 102",
        "800 Sales",
        "700 Main",
        "999 Voicemail",
        "(101)",
        "Иван (+7495)",
        "10000 skyetel (+491701)",
        "10001 other (+48555)",
        "+4912341234",
        "112 113 (100)",
        ", ,",
        "10000",
        "600 Office",
    ]
)
_participants = st.builds(
    Participant,
    id=st.integers(1, 6),
    dn=_dn,
    status=st.sampled_from(["Dialing", "Ringing", "Connected", "WaitingForNewParty"]),
    call_id=st.integers(1, 4),
    leg_id=st.none() | st.integers(1, 9),
    party_dn=_dn | st.sampled_from(["", "700", "999", "10001", "ROUTER"]),
    party_caller_id=st.sampled_from(["", "101", "+491701", "anonymous"]),
    party_did=st.sampled_from(["", "", "+4930200", "+1"]),
    party_dn_type=st.sampled_from(
        ["None", "Wextension", "Wexternalline", "Wqueue", "Wivr", "Wspecialmenu", "Wnew"]
    ),
    on_behalf_of_dn=st.sampled_from(["", "", "800", "600"]),
    referred_by_dn=st.sampled_from(["", "", "101"]),
)
_rows = st.lists(
    st.builds(
        ActiveCall,
        id=st.integers(1, 4),
        caller=_text,
        callee=_text,
        status=st.sampled_from(
            ["Initiating", "Routing", "Talking", "Transferring", "Rerouting", "Unknown", "Ringing"]
        ),
        last_change_status=st.none() | _time,
        established_at=st.none() | _time,
    ),
    max_size=4,
    unique_by=lambda row: row.id,
).map(tuple)
_reads = st.builds(
    ParticipantsRead,
    participants=st.lists(_participants, max_size=5, unique_by=lambda p: (p.dn, p.id)).map(tuple),
    dns=st.just(dict.fromkeys(EXTENSIONS, "Wextension")),
    asked=_time,
    at=_time,
    kept=st.frozensets(st.tuples(_dn, st.integers(1, 6)), max_size=2),
)
_answers = st.builds(ActiveCallsRead, rows=_rows, asked=_time, at=_time)
_facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(ParticipantSeen, participant=_participants, heard=_time, at=_time),
    st.builds(ParticipantGone, dn=_dn, participant_id=st.integers(1, 6), heard=_time, at=_time),
    _reads,
    _answers,
    st.just(directory()),
    st.builds(
        ConnectionChanged,
        connection=st.sampled_from(["connecting", "connected", "lost"]),
        reason=st.just(""),
        at=_time,
        source=st.just(""),
    ),
)


@given(st.lists(_facts, max_size=25), _reads, _rows)
def test_after_a_full_read_and_an_answer_the_calls_are_those_that_they_list(
    history: list[Fact], read: ParticipantsRead, rows: tuple[ActiveCall, ...]
) -> None:
    pbx = Told()
    for fact in history:
        pbx.tell(fact)
    last = NOON + 1_000
    pbx.tell(ParticipantsRead(read.participants, read.dns, last, last))
    pbx.tell(ActiveCallsRead(rows, last + 1, last + 1))
    assert pbx.calls == {str(p.call_id) for p in read.participants} | {str(row.id) for row in rows}
    busy = {number for number in EXTENSIONS if pbx.extension(number).status == "Busy"}
    assert {p.dn for p in read.participants} & set(EXTENSIONS) <= busy
    for id_ in pbx.calls:
        call = pbx.call(int(id_))
        dns = [leg.dn_num for leg in call.legs]
        listed = Counter(
            (p.dn, p.party_caller_id) for p in read.participants if str(p.call_id) == id_
        )
        legs = Counter(
            (leg.dn_num, leg.external_party if leg.dn_type == "externalline" else None)
            for leg in call.legs
        )
        # Nobody knows whose a hidden number is.
        legs = Counter({leg: many for leg, many in legs.items() if leg[1] != ""})
        more = {
            leg: many for leg, many in legs.items() if many > max(1, listed[leg[0], leg[1] or ""])
        }
        assert not more, (
            "a call has one leg a DN, and on a trunk one a number unless Call Control lists more"
        )
        assert call.owner is None or call.owner in call.legs
        assert {leg.dn_num for leg in (*call.talk_to, *call.routing_to)} <= set(dns)
        assert call.answered_at is None or call.answered_at >= call.started_at[:4]


@given(st.lists(_facts, max_size=25))
def test_when_nothing_is_left_everything_is_idle(history: list[Fact]) -> None:
    pbx = Told()
    for fact in history:
        pbx.tell(fact)
    last = NOON + 1_000
    pbx.tell(ParticipantsRead((), dict.fromkeys(EXTENSIONS, "Wextension"), last, last))
    pbx.tell(ActiveCallsRead((), last + 1, last + 1))
    assert pbx.calls == set()
    assert pbx.tracker.inconsistent_calls == set()
    assert {pbx.extension(number).status for number in EXTENSIONS} == {"Free"}
    assert pbx.queue().waiting == ()
    assert {line.in_use for line in pbx.tracker.state["lines"].values()} == {0}  # type: ignore[union-attr]  # lines
