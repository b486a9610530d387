"""Test that views, events and the truth agree, whatever happens to calls in any order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import ClassVar

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.calls.api_rows import ParticipantView
from monitor.simulator.calls.ground_truth import TruthCall
from monitor.simulator.calls.model import OperationRefused, SimulatedCall
from monitor.simulator.calls.switchboard import ControlRequest
from tests.examples import examples
from tests.monitor.simulator.exchange_bench import AGENTS, CALLER, MOBILE, Bench, Client

PHONES = tuple(str(number) for number in range(100, 112))
DESTINATIONS = (
    *PHONES,
    "600",
    "700",
    "800",
    "800",
    "800",
    "801",
    "999",
    "990",
    "7990",
    "callmon",
    MOBILE,
    "12",
    "10001",
)
ACTIONS = ("drop", "answer", "divert", "routeto", "transferto", "nonsense")
"""Those that change what is shown; attached data is not, and is tested by example."""

picks = st.integers(0, 1_000_000)
phones = st.sampled_from(PHONES)
destinations = st.sampled_from(DESTINATIONS)


class Exchange(RuleBasedStateMachine):
    """Random operations of people, scenarios and programs."""

    done: ClassVar[Counter[str]] = Counter()
    """How often each step succeeded."""

    @initialize(
        attended=st.sampled_from(["move", "new"]),
        callees=st.sampled_from(["first", "joined", "target"]),
    )
    def open(self, attended: str, callees: str) -> None:
        self.pbx = Bench(
            Switches(
                attended="move" if attended == "move" else "new",
                callees="first"
                if callees == "first"
                else "joined"
                if callees == "joined"
                else "target",
            )
        )
        self.switchboard = self.pbx.switchboard
        self.client = Client(self.switchboard)
        self.made = 0

    @rule(trunk=st.sampled_from(["10000", "10001", "10002"]))
    def arrive(self, trunk: str) -> None:
        self.switchboard.arrive(trunk, CALLER)
        self.made += 1

    @rule(caller=phones, destination=destinations)
    def dial(self, caller: str, destination: str) -> None:
        try:
            self.switchboard.dial(caller, destination)
            self.made += 1
        except OperationRefused:
            pass

    @rule(caller=phones, destination=destinations)
    def order(self, caller: str, destination: str) -> None:
        if self.switchboard.makecall(caller, None, destination, None, {}).finalstatus == "Success":
            self.made += 1

    @rule(pick=picks, destination=destinations, greeting=st.booleans())
    def route(self, pick: int, destination: str, greeting: bool) -> None:
        call = self._call(pick)
        if call is not None and not call.forward_to and len(list(call.talkers())) == 1:
            self._try("route", lambda: self.switchboard.route(call, destination, greeting=greeting))

    @rule(pick=picks, agents=st.lists(st.sampled_from(AGENTS), min_size=1, max_size=3, unique=True))
    def poll(self, pick: int, agents: list[str]) -> None:
        call = self._call(pick, "queue")
        if call is not None:
            self._try("poll", lambda: self.switchboard.poll(call, agents))

    @rule(pick=picks, which=picks)
    def answer(self, pick: int, which: int) -> None:
        call = self._call(pick)
        if call is not None and call.ringing():
            leg = call.ringing()[which % len(call.ringing())]
            self._try(
                "answer",
                lambda: self.switchboard.answer(
                    call, leg.dn.number, leg.parts[which % len(leg.parts)].device_id
                ),
            )

    @rule(pick=picks)
    def no_answer(self, pick: int) -> None:
        call = self._call(pick)
        if call is not None:
            self._try("no_answer", lambda: self.switchboard.no_answer(call))

    @rule(callee=phones, caller=st.sampled_from((*PHONES, CALLER)))
    def talk(self, caller: str, callee: str) -> None:
        """Two who are free, or somebody outside and one who is, speak to each other."""
        if caller == callee or any(self.switchboard.busy(number) for number in (caller, callee)):
            return
        if not (
            self.pbx.directory.devices(callee)
            and (caller == CALLER or self.pbx.directory.devices(caller))
        ):
            return
        if caller == CALLER:
            call = self.switchboard.arrive("10002", CALLER)
            self.switchboard.route(call, callee)
        else:
            call = self.switchboard.dial(caller, callee)
        self.made += 1
        self.switchboard.answer(call, callee)

    @rule(pick=picks, guest=phones)
    def invite(self, pick: int, guest: str) -> None:
        found = self._talking(pick)
        if found is not None:
            call, number = found
            self._try("invite", lambda: self.switchboard.invite(call, number, guest))

    @rule(pick=picks, guest=phones, answered=st.booleans())
    def consult(self, pick: int, guest: str, answered: bool) -> None:
        """Somebody who talks calls a third, and hands over before or after an answer."""
        found = self._talking(pick)
        if found is None or self.switchboard.busy(guest) or not self.pbx.directory.devices(guest):
            return
        first, number = found
        second = self.switchboard.dial(number, guest)
        self.made += 1
        if answered:
            self.switchboard.answer(second, guest)
        self._try("merge", lambda: self.switchboard.merge(first, second, number))

    @rule(pick=picks, which=picks, destination=destinations, action=st.sampled_from(ACTIONS))
    def act_on_ringing(self, pick: int, which: int, action: str, destination: str) -> None:
        ringing = [
            view
            for call in self.switchboard.calls.values()
            for view in call.views.values()
            if view.status == "Ringing"
        ]
        phone = PHONES[pick % len(PHONES)]
        if not ringing and not self.switchboard.busy(phone) and self.pbx.directory.devices(phone):
            self.pbx.inbound(phone)
            self.made += 1
            ringing = self.switchboard.participants(phone)
        self._act(ringing, pick + which, action, destination)

    @rule(phone=phones, destination=destinations)
    def divert_at_once(self, phone: str, destination: str) -> None:
        """Somebody outside rings a free phone, which sends the call elsewhere."""
        if self.switchboard.busy(phone) or not self.pbx.directory.devices(phone):
            return
        self.pbx.inbound(phone)
        self.made += 1
        self._act(self.switchboard.participants(phone), 0, "divert", destination)

    @rule(pick=picks, destination=destinations, action=st.sampled_from(ACTIONS))
    def act_on_connected(self, pick: int, action: str, destination: str) -> None:
        found = self._talking(pick)
        if found is not None:
            call, number = found
            self._act(
                [view for view in call.views.values() if view.dn == number], 0, action, destination
            )

    @rule(
        pick=picks,
        destination=destinations,
        action=st.sampled_from(("transferto", "transferto", "routeto")),
    )
    def send_partner_on(self, pick: int, action: str, destination: str) -> None:
        """One of two who talk, made to if nobody does, sends the other elsewhere."""
        pairs = self._pairs()
        if not pairs:
            self.talk(CALLER if pick % 2 else PHONES[pick % 6], PHONES[6 + pick % 6])
            pairs = self._pairs()
        if pairs:
            self._act(pairs, pick, action, destination)

    @rule(pick=picks)
    def end(self, pick: int) -> None:
        call = self._call(pick)
        if call is not None:
            assert self.switchboard.drop_call(call.id)

    @rule(seconds=st.floats(0.1, 60))
    def pass_time(self, seconds: float) -> None:
        self.pbx.now += seconds

    @invariant()
    def a_client_that_follows_events_has_the_same_table(self) -> None:
        if not hasattr(self, "board"):
            return
        shown = {
            (v.dn, v.id): v
            for dn in self.pbx.directory.dns()
            for v in self.switchboard.participants(dn.number)
        }
        assert self.client.table == shown
        assert self.client.errors == []

    @invariant()
    def participants_agree_with_the_truth(self) -> None:
        if not hasattr(self, "board"):
            return
        shown: dict[tuple[int, str], list[ParticipantView]] = defaultdict(list)
        for view in self.client.table.values():
            shown[view.callid, view.dn].append(view)
        true = {
            (call.call_id, leg.dn): leg for call in self.switchboard.truth() for leg in call.legs
        }
        assert shown.keys() == true.keys()
        for key, views in shown.items():
            leg = true[key]
            assert {(view.status, view.party_caller_id) for view in views} == {
                (leg.status, leg.external_party)
            }
            assert len(views) == 1 or leg.status == "Ringing"

    @invariant()
    def rows_agree_with_the_truth(self) -> None:
        if not hasattr(self, "board"):
            return
        true = {call.call_id: call for call in self.switchboard.truth()}
        rows = {row.id: row for row in self.switchboard.active_calls()}
        assert rows.keys() == true.keys()
        for call_id, row in rows.items():
            truth = true[call_id]
            assert row.status == truth.state
            assert self.switchboard.calls[call_id].departed or row.caller.startswith(truth.owner)
            legs = {leg.dn for leg in truth.legs}
            assert row.dns <= legs | {"600"}
            self._sound(truth)

    def _sound(self, truth: TruthCall) -> None:
        statuses = [leg.status for leg in truth.legs]
        assert truth.started_at <= (truth.answered_at or self.pbx.now) <= self.pbx.now
        assert statuses.count("Dialing") <= 1
        alone = len(statuses) == 1
        assert not alone or statuses[0] in ("Dialing", "Ringing"), truth
        kinds = [leg.dn_type for leg in truth.legs if leg.status == "Connected"]
        if sum(kind in ("extension", "externalline", "conference") for kind in kinds) > 1:
            assert truth.answered_at is not None

    @invariant()
    def after_a_calls_end_nothing_of_it_remains(self) -> None:
        if not hasattr(self, "board"):
            return
        ended = {end.call_id for end in self.switchboard.ended()}
        live = set(self.switchboard.calls)
        assert not ended & live
        assert len(ended) + len(live) == self.made
        held = {
            (number, call_id)
            for number, legs in self.switchboard._by_dn.items()
            for call_id in legs
        }
        assert held == {
            (number, call.id) for call in self.switchboard.calls.values() for number in call.legs
        }
        parts = {
            part.id
            for call in self.switchboard.calls.values()
            for leg in call.legs.values()
            for part in leg.parts
        }
        assert set(self.switchboard._parts) == parts

    def _talking(self, pick: int) -> tuple[SimulatedCall, str] | None:
        """Some extension that is connected, and its call."""
        found = [
            (call, leg.dn.number)
            for call in self.switchboard.calls.values()
            for leg in call.legs.values()
            if leg.connected and leg.dn.kind == "extension"
        ]
        return found[pick % len(found)] if found else None

    def _pairs(self) -> list[ParticipantView]:
        """Extensions that talk to exactly one party."""
        calls = [
            call
            for call in self.switchboard.calls.values()
            if len(call.legs) == 2 and call.host is None
        ]
        views = [
            view for call in calls for view in call.views.values() if view.status == "Connected"
        ]
        return [
            view
            for view in views
            if view.party_dn_type in ("Wextension", "Wexternalline") and view.dn in PHONES
        ]

    def _act(self, views: list[ParticipantView], pick: int, action: str, destination: str) -> None:
        if not views:
            return
        view = views[pick % len(views)]
        before = self.switchboard.truth()
        request = ControlRequest(destination=destination)
        if self.switchboard.act(view.dn, view.id, action, request).finalstatus == "Success":
            self.done[action] += 1
        else:
            assert self.switchboard.truth() == before, "a refused action has changed something"

    def _call(self, pick: int, kind: str = "") -> SimulatedCall | None:
        calls = [
            c
            for c in self.switchboard.calls.values()
            if not kind or any(g.dn.kind == kind for g in c.legs.values())
        ]
        return calls[pick % len(calls)] if calls else None

    def _try(self, name: str, step: Callable[[], object]) -> None:
        before = self.switchboard.truth()
        try:
            step()
            self.done[name] += 1
        except OperationRefused:
            assert self.switchboard.truth() == before, "a refused step has changed something"


SETTINGS = examples(
    250,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
STEPS = (
    "route",
    "poll",
    "answer",
    "no_answer",
    "invite",
    "merge",
    "drop",
    "divert",
    "routeto",
    "transferto",
)


def test_whatever_happens_what_is_shown_told_and_true_agree() -> None:
    Exchange.done.clear()
    run_state_machine_as_test(Exchange, settings=SETTINGS)
    rare = {name: Exchange.done[name] for name in STEPS if Exchange.done[name] < 10}
    assert rare == {}, "a step that hardly ever succeeds is not tested"
