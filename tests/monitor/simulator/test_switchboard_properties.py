"""Whatever happens to calls in whatever order: what is shown, what is told and what is true agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from monitor.simulator.callcontrol import ControlRequest
from monitor.simulator.legs import Call, Refused
from monitor.simulator.projection import ParticipantView
from monitor.simulator.switches import Switches
from monitor.simulator.truth import TruthCall
from tests.monitor.simulator.exchange_bench import AGENTS, CALLER, MOBILE, Bench, Client

PHONES = tuple(str(number) for number in range(100, 112))
DESTINATIONS = (*PHONES, "600", "700", "800", "801", "999", "990", "7990", "callmon", MOBILE, "12", "10001")
ACTIONS = ("drop", "answer", "divert", "routeto", "transferto", "nonsense")
"""Those that change what is shown; attached data is not, and is tested by example."""

picks = st.integers(0, 1_000_000)
phones = st.sampled_from(PHONES)
destinations = st.sampled_from(DESTINATIONS)


class Exchange(RuleBasedStateMachine):
    """Random operations of people, scenarios and programs."""

    @initialize(
        attended=st.sampled_from(["move", "new"]),
        callees=st.sampled_from(["first", "joined", "target"]),
    )
    def open(self, attended: str, callees: str) -> None:
        self.pbx = Bench(
            Switches(
                attended="move" if attended == "move" else "new",
                callees="first" if callees == "first" else "joined" if callees == "joined" else "target",
            )
        )
        self.board = self.pbx.board
        self.client = Client(self.board)
        self.made = 0

    @rule(trunk=st.sampled_from(["10000", "10001", "10002"]))
    def arrive(self, trunk: str) -> None:
        self.board.arrive(trunk, CALLER)
        self.made += 1

    @rule(caller=phones, destination=destinations)
    def dial(self, caller: str, destination: str) -> None:
        try:
            self.board.dial(caller, destination)
            self.made += 1
        except Refused:
            pass

    @rule(caller=phones, destination=destinations)
    def order(self, caller: str, destination: str) -> None:
        if self.board.makecall(caller, None, destination, None, {}).finalstatus == "Success":
            self.made += 1

    @rule(pick=picks, destination=destinations, greeting=st.booleans())
    def route(self, pick: int, destination: str, greeting: bool) -> None:
        call = self._call(pick)
        if call is not None and not call.forward_to and len(list(call.talkers())) == 1:
            self._try(lambda: self.board.route(call, destination, greeting=greeting))

    @rule(pick=picks, agents=st.lists(st.sampled_from(AGENTS), min_size=1, max_size=3, unique=True))
    def poll(self, pick: int, agents: list[str]) -> None:
        call = self._call(pick, "queue")
        if call is not None:
            self._try(lambda: self.board.poll(call, agents))

    @rule(pick=picks, which=picks)
    def answer(self, pick: int, which: int) -> None:
        call = self._call(pick)
        if call is not None and call.ringing():
            leg = call.ringing()[which % len(call.ringing())]
            self._try(lambda: self.board.answer(call, leg.dn.number, leg.parts[which % len(leg.parts)].device_id))

    @rule(pick=picks)
    def no_answer(self, pick: int) -> None:
        call = self._call(pick)
        if call is not None:
            self._try(lambda: self.board.no_answer(call))

    @rule(pick=picks, which=picks, guest=phones)
    def invite(self, pick: int, which: int, guest: str) -> None:
        call = self._call(pick)
        if call is not None:
            number = list(call.legs)[which % len(call.legs)]
            self._try(lambda: self.board.invite(call, number, guest))

    @rule(pick=picks)
    def merge(self, pick: int) -> None:
        both = [n for n in PHONES if len(self.board.calls_of(n)) > 1]
        if both:
            number = both[pick % len(both)]
            first, second, *_ = self.board.calls_of(number)
            self._try(lambda: self.board.merge(first, second, number))

    @rule(pick=picks, which=picks, action=st.sampled_from(ACTIONS), destination=destinations)
    def act(self, pick: int, which: int, action: str, destination: str) -> None:
        call = self._call(pick)
        if call is not None:
            views = list(call.views.values())
            view = views[which % len(views)]
            request = ControlRequest(destination=destination, attached={})
            self.board.act(view.dn, view.id, action, request)

    @rule(pick=picks)
    def end(self, pick: int) -> None:
        call = self._call(pick)
        if call is not None:
            assert self.board.drop_call(call.id)

    @rule(seconds=st.floats(0.1, 60))
    def pass_time(self, seconds: float) -> None:
        self.pbx.now += seconds

    @invariant()
    def a_client_that_follows_events_has_the_same_table(self) -> None:
        if not hasattr(self, "board"):
            return
        shown = {(v.dn, v.id): v for dn in self.pbx.directory.dns() for v in self.board.participants(dn.number)}
        assert self.client.table == shown
        assert self.client.errors == []

    @invariant()
    def participants_agree_with_the_truth(self) -> None:
        if not hasattr(self, "board"):
            return
        shown: dict[tuple[int, str], list[ParticipantView]] = defaultdict(list)
        for view in self.client.table.values():
            shown[view.callid, view.dn].append(view)
        true = {(call.call_id, leg.dn): leg for call in self.board.truth() for leg in call.legs}
        assert shown.keys() == true.keys()
        for key, views in shown.items():
            leg = true[key]
            assert {(view.status, view.party_caller_id) for view in views} == {(leg.status, leg.external_party)}
            assert len(views) == 1 or leg.status == "Ringing"

    @invariant()
    def rows_agree_with_the_truth(self) -> None:
        if not hasattr(self, "board"):
            return
        true = {call.call_id: call for call in self.board.truth()}
        rows = {row.id: row for row in self.board.active_calls()}
        assert rows.keys() == true.keys()
        for call_id, row in rows.items():
            truth = true[call_id]
            assert row.status == truth.state
            assert row.caller.startswith(truth.owner)
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
        ended = {end.call_id for end in self.board.ended()}
        live = set(self.board.calls)
        assert not ended & live
        assert len(ended) + len(live) == self.made
        held = {(number, call_id) for number, legs in self.board._by_dn.items() for call_id in legs}
        assert held == {(number, call.id) for call in self.board.calls.values() for number in call.legs}
        parts = {part.id for call in self.board.calls.values() for leg in call.legs.values() for part in leg.parts}
        assert set(self.board._parts) == parts

    def _call(self, pick: int, kind: str = "") -> Call | None:
        calls = [c for c in self.board.calls.values() if not kind or any(g.dn.kind == kind for g in c.legs.values())]
        return calls[pick % len(calls)] if calls else None

    def _try(self, step: Callable[[], object]) -> None:
        before = self.board.truth()
        try:
            step()
        except Refused:
            assert self.board.truth() == before, "a refused step has changed something"


TestExchange = Exchange.TestCase
TestExchange.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
