"""Play every setting, gather the differences by kind, and draw the table."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitor.shared.entities import topics
from monitor.simulator.behaviour_options import Switches
from monitor.simulator.call_kinds import MIX, Kind, mix_with
from monitor.simulator.calls.acts import Act
from tests.comparison import differences, figure_differences
from tests.comparison.differences import Difference
from tests.comparison.watched import NOON, PAUSES, Watched
from tests.truth.calls import Story


@dataclass(frozen=True, slots=True)
class Setting:
    """A PBX's behaviour, and the interfaces that callmon may use."""

    switches: Switches
    call_control: bool = True
    mix: Mapping[Kind, float] = field(default_factory=lambda: MIX)
    over_midnight: bool = False
    """True if the calls begin before midnight and go on after it."""
    extensions: int = 60
    queues: int = 4
    pauses: tuple[float, ...] = PAUSES
    """Seconds between two reads of ActiveCalls."""
    web_client: bool = False
    """True if the PBX tells its own figures of the queues."""


_APPS: Final = mix_with(10.0)

SETTINGS: Final = {
    "defaults": Setting(Switches()),
    "monitored=all": Setting(Switches(monitored="all")),
    "monitored=half": Setting(Switches(monitored="half")),
    "on_behalf_of": Setting(Switches(on_behalf_of=True)),
    "party_did": Setting(Switches(party_did=True)),
    "callees=joined": Setting(Switches(callees="joined")),
    "callees=target": Setting(Switches(callees="target")),
    "established=last": Setting(Switches(established="last")),
    "attended=new": Setting(Switches(attended="new")),
    "survivor=second": Setting(Switches(survivor="second")),
    "survivor=second, attended=new": Setting(Switches(survivor="second", attended="new")),
    "over midnight": Setting(Switches(), over_midnight=True),
    "duplicates=False": Setting(Switches(duplicates=False)),
    "latency=0.1": Setting(Switches(latency=0.1)),
    "route_point=connects": Setting(Switches(), mix=_APPS),
    "route_point=rings": Setting(Switches(route_point="rings"), mix=_APPS),
    "rows alone": Setting(Switches(), call_control=False),
    "rows alone, callees=joined": Setting(Switches(callees="joined"), call_control=False),
    "rows alone, callees=target": Setting(Switches(callees="target"), call_control=False),
    "rows alone, survivor=second": Setting(Switches(survivor="second"), call_control=False),
    "rows alone, established=last": Setting(Switches(established="last"), call_control=False),
    "many queues": Setting(Switches(), extensions=1_000, queues=60, pauses=(0.06, 0.2, 0.3)),
    "many queues, a read a second": Setting(Switches(), extensions=1_000, queues=60, pauses=(1.0,)),
    "many queues, web client": Setting(
        Switches(), extensions=1_000, queues=60, pauses=(0.06, 0.2, 0.3), web_client=True
    ),
    "web client": Setting(Switches(), web_client=True),
}
"""The switches that change what facts say.

The others are about sockets, tokens, pages and the directory; no fact shows their positions. So
each of them would be the setting ``defaults`` once more."""

_SETTLED: Final = 5.0
"""Seconds after the end of a call by which all of it was told and counted."""


@dataclass(slots=True)
class Found:
    """The differences of one kind."""

    kind: str
    excuse: str | None
    example: Difference
    journal: tuple[Act, ...]
    calls: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Result:
    """What the comparison of one setting came to."""

    setting: str
    calls: int
    looks: int
    kinds: Counter[str]
    found: dict[tuple[str, str | None], Found]
    in_queues: list[float | None] = field(default_factory=list)
    """Seconds until a call was shown with its queue, one for each; None for never."""

    @property
    def faults(self) -> dict[str, Found]:
        """The differences that cannot be excused, by kind."""
        return {found.kind: found for found in self.found.values() if found.excuse is None}


class Comparison:
    """Plays calls under a setting and gathers the differences."""

    def __init__(self, name: str, calls: int, seed: int, mix: Mapping[Kind, float] | None) -> None:
        setting = SETTINGS[name]
        self._latency = setting.switches.latency
        self._pbx = Watched(
            seed,
            setting.switches,
            calls,
            call_control=setting.call_control,
            mix=mix or setting.mix,
            over_midnight=setting.over_midnight,
            extensions=setting.extensions,
            queues=setting.queues,
            pauses=setting.pauses,
            web_client=setting.web_client,
        )
        self._result = Result(name, 0, 0, Counter(), {})
        self._over: deque[Story] = deque()
        """Calls that are over and not compared yet, the oldest end first."""
        self._counts: Counter[str] = Counter()

    def run(self) -> Result:
        """Play all calls; return what was found."""
        pbx, result = self._pbx, self._result
        pbx.play(self._look, None if self._latency else self._look_between)
        self._conclude(pbx.now + 2 * _SETTLED)
        pbx.statistics.tick(pbx.now + 2 * _SETTLED)
        for difference in figure_differences.sums(pbx.statistics, self._counts):
            self._note(difference, None)
        for call, _ in pbx.ended:
            self._note(Difference(call, "ended again", str(call), ""), None)
        result.kinds = Counter(
            {str(kind): count for kind, count in pbx.traffic.stats.kinds.items()}
        )
        return result

    def _look(self) -> None:
        """Compare the calls in progress, but for those of which an answer is on its way."""
        pbx = self._pbx
        self._result.looks += 1
        self._over.extend(pbx.watcher.over)
        pbx.watcher.over.clear()
        table = pbx.held.state["calls"]
        stories = pbx.watcher.calls
        for story in self._over:
            same = isinstance(held := table.get(str(story.id)), topics.Call) and (
                held.continues == story.continues
            )
            if same and pbx.now - story.acts[-1].at > self._latency:
                kind = "call held that is over"
                self._note(Difference(story.id, kind, str(story.id), ""), story)
        for story in stories.values():
            if self._latency and pbx.now - story.acts[-1].at <= self._latency:
                continue
            held = table.get(str(story.id))
            assert held is None or isinstance(held, topics.Call)
            for difference in differences.live(story, held, pbx.evidence[id(story)]):
                self._note(difference, story)
            for before in story.continues:
                if str(before) in table:
                    kind = "call held that goes on under another id"
                    self._note(Difference(story.id, kind, str(before), ""), story)
        self._conclude(pbx.now)

    def _look_between(self, story: Story) -> None:
        """Compare a call just after an event."""
        held = self._pbx.held.state["calls"].get(str(story.id))
        assert held is None or isinstance(held, topics.Call)
        for difference in differences.between(story, held, self._pbx.evidence[id(story)]):
            self._note(difference, story)

    def _conclude(self, now: float) -> None:
        """Compare the calls of whose end all was told by ``now``, and forget them."""
        pbx = self._pbx
        while self._over and now - self._over[0].acts[-1].at > _SETTLED:
            story = self._over.popleft()
            self._result.calls += 1
            evidence = pbx.evidence.pop(id(story), None)
            held = pbx.ended.pop((story.id, story.continues), [])
            alone = pbx.alone(held[-1]) if held else None
            self._result.in_queues += pbx.shown_after(story)
            for difference in (
                *differences.ended(story, held, evidence),
                *figure_differences.figures(story, alone, evidence),
            ):
                self._note(difference, story)
            if alone is not None:
                self._counts.update(figure_differences.counts(alone))

    def _note(self, difference: Difference, story: Story | None) -> None:
        key = (difference.kind, difference.excuse)
        acts = () if story is None else tuple(story.acts)
        found = self._result.found.setdefault(key, Found(*key, difference, acts))
        found.calls.add(difference.call)


def compared(
    name: str, calls: int, seed: int = 7, mix: Mapping[Kind, float] | None = None
) -> Result:
    """Play so many calls under a setting and compare all that is held of them.

    ``mix``: weights of the kinds of calls, if not the setting's own.
    """
    return Comparison(name, calls, seed, mix).run()


def table(results: Sequence[Result]) -> str:
    """Draw what was found: the faults, then what cannot be known, with an example each."""
    merged: dict[tuple[str, str | None], list[tuple[Result, Found]]] = {}
    for result in results:
        for key, found in result.found.items():
            merged.setdefault(key, []).append((result, found))
    rows = sorted(merged.values(), key=lambda row: (-_total(row), row[0][1].kind))
    calls = sum(result.calls for result in results)
    looks = sum(result.looks for result in results)
    faults = [row for row in rows if row[0][1].excuse is None]
    excused = [row for row in rows if row[0][1].excuse is not None]
    lines = [
        f"{calls} calls under {len(results)} settings, {looks} looks at calls in progress.",
        "",
    ]
    lines += [f"Faults: {len(faults)} kinds", *_lines(faults), ""]
    lines += [
        f"Not to be known (tests/truth/README.md): {len(excused)} kinds",
        *_lines(excused),
        "",
    ]
    lines += ["Calls shown with their queue, from the moment at which they came into it:"]
    lines += [*map(_promptness, results), ""]
    for row in (*faults, *excused):
        lines += [*_example(*row[0]), ""]
    return "\n".join(lines)


def _promptness(result: Result) -> str:
    lags = result.in_queues
    parts = (
        sum(lag is not None and lag <= 0.3 for lag in lags),
        sum(lag is not None and lag <= 1.0 for lag in lags),
        sum(lag is None for lag in lags),
    )
    soon, late, never = (f"{part / max(1, len(lags)):6.1%}" for part in parts)
    return f"  {soon} in 300 ms, {late} in 1 s, {never} never: {len(lags)} calls, {result.setting}"


def _total(row: list[tuple[Result, Found]]) -> int:
    return sum(len(found.calls) for _, found in row)


def _lines(rows: list[list[tuple[Result, Found]]]) -> Iterator[str]:
    """Give each kind a line: calls, settings, kind, and why it cannot be known."""
    for row in rows:
        found = row[0][1]
        why = "" if found.excuse is None else f" | {found.excuse}"
        yield f"  {_total(row):7} calls, {len(row):2} settings | {found.kind}{why}"


def _example(result: Result, found: Found) -> Iterator[str]:
    it = found.example
    why = "" if found.excuse is None else f" ({found.excuse})"
    yield f"{found.kind}{why}: {result.setting}, call {it.call}"
    yield f"  held: {it.held or 'nothing'}; true: {it.true or 'nothing'}"
    for act in found.journal:
        words = (act.deed, act.dn, act.kind or "", act.number, act.to and f"→ {act.to}")
        other = f"of call {act.other}" if act.other else ""
        yield f"  {act.at - NOON:10.3f} {' '.join(filter(None, (*words, other)))}"
