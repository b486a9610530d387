"""Find the two calls that an attended transfer makes one, and carry the story on. Pure.

Somebody who talks calls a third party in a second call, the consultation, and hands over: before
the answer (semi-attended) or after it. One of the two calls then goes on with the two others, and
the second call ends. The PBX does not say which call id goes on. The rules are:

*Sign.* In one call, the person who hands over is gone, and a party of that person's other call has
come, both within :data:`_SHUFFLE` seconds. A queue in which that person waits is such a party. The
consultation is the later call; this person began it; in the earlier one the person talked.

*Story.* The first call's story goes on, whatever its id: who called, when, through which queue,
since when it was answered. If the consultation's id goes on, it takes over that story, and the
first call's id is gone without an end of its own. The consultation is over at that moment. If
nobody had answered it by then, its outcome is ``transferred``: it was not missed, as the third
party's phone rings on in the first call's story. Its end may be told before the transfer is seen;
then it is told again.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from monitor.shared.entities import topics
from monitor.tracking.call_evidence import PEOPLE
from monitor.tracking.call_inference import CallInference

_SHUFFLE: Final = 2.0
"""Seconds within which the parties of a call change in one transfer."""
_MOST_CHANGES: Final = 8
"""Changes of a call's parties that are looked at together."""
_LEFTOVER: Final = 10.0
"""Seconds for which the PBX may still list a call whose story goes on under another id."""

Party: TypeAlias = tuple[str, str]
"""A DN, and the outside number behind it; the number is empty for an extension."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Name the two calls of a transfer: ``main`` with the first story, and the consultation."""

    main: CallInference
    consultation: CallInference
    """The consultation's inference before the transfer."""


class CallTransfers:
    """Watch the parties of all calls for transfers.

    ``unanswered``: ids of consultations that were handed over before an answer.
    """

    def __init__(self) -> None:
        self.unanswered: set[int] = set()
        self._continued: dict[int, float] = {}
        self._before: dict[int, list[tuple[CallInference, float]]] = {}
        """Call id → how it was before each of the last changes of its parties, and when it changed.
        """
        self._calls_of: dict[str, set[int]] = defaultdict(set)
        self._over: OrderedDict[str, tuple[CallInference, topics.EndedCall, float]] = OrderedDict()
        """Originator of a call that nobody answered → the call, as it was kept, and its end."""

    def find(
        self,
        call: CallInference,
        before: CallInference | None,
        calls: Mapping[int, CallInference],
        now: float,
    ) -> Handover | None:
        """Return the transfer that shows in how this call has changed, or None.

        ``before``: the call's inference before. ``calls``: all calls, by id. ``now``: POSIX
        seconds on the PBX's clock.
        """
        known = frozenset() if before is None else before.path.extensions
        for number in call.path.extensions - known:
            self._calls_of[number].add(call.id)
        parties = _parties(call)
        if before is None or parties == _parties(before):
            return None
        for settled in self._lately(before, now):
            come = parties - _parties(settled)
            for person in _left(call, settled) if come else ():
                for other in self._others(person, calls, now):
                    handover = _handover(settled, other, person, come)
                    if handover is not None and other.id != call.id:
                        return handover
        return None

    def _lately(self, before: CallInference, now: float) -> list[CallInference]:
        """Note how a call was before its parties changed; return how it was of late."""
        held = self._before.get(before.id, ())
        lately = [(was, at) for was, at in held if now - at <= _SHUFFLE]
        lately = self._before[before.id] = [*lately[-_MOST_CHANGES:], (before, now)]
        return [was for was, _ in lately]

    def _others(
        self, person: str, calls: Mapping[int, CallInference], now: float
    ) -> Iterator[CallInference]:
        """Yield the calls of an extension, also one that has just ended unanswered."""
        for id_ in sorted(self._calls_of.get(person, ())):
            if id_ in calls:
                yield calls[id_]
        call, _, at = self._over.get(person, (None, None, 0.0))
        if call is not None and now - at <= _SHUFFLE:
            yield call

    def note_over(self, call: CallInference, ended: topics.EndedCall, now: float) -> None:
        """Note a call that ended: the answers that show a transfer of it may come later."""
        if (
            ended.outcome in ("missed", "unanswered", "abandoned")
            and call.originator.external is False
        ):
            self._over[call.originator.dn] = call, ended, now
            self._over.move_to_end(call.originator.dn)
        while self._over and now - next(iter(self._over.values()))[2] > _SHUFFLE:
            self._over.popitem(last=False)

    def kept_end(self, call: CallInference) -> topics.EndedCall | None:
        """Return the told end of a call that ended before its transfer was seen, else None."""
        held = self._over.get(call.originator.dn)
        if held is None or held[0] is not call:
            return None
        del self._over[call.originator.dn]
        return held[1]

    def note_continued(self, call_id: int, now: float) -> None:
        """Note that a call's story goes on under another id."""
        self._continued[call_id] = now

    def is_continued(self, call_id: int) -> bool:
        """Return whether what the PBX still says of a call is a leftover of a transfer."""
        return call_id in self._continued

    def revived(self, now: float) -> Iterator[int]:
        """Yield the calls that are listed too long for a leftover: each is a call of its own."""
        for call_id in [id_ for id_, at in self._continued.items() if now - at > _LEFTOVER]:
            del self._continued[call_id]
            yield call_id

    def forget(self, call_id: int, call: CallInference | None) -> None:
        """Forget a call that is over. ``call``: as it was inferred last, if it was."""
        self._continued.pop(call_id, None)
        self._before.pop(call_id, None)
        self.unanswered.discard(call_id)
        for number in () if call is None else call.path.extensions:
            self._calls_of[number].discard(call_id)
            if not self._calls_of[number]:
                del self._calls_of[number]


def continued(main: CallInference, call: CallInference) -> CallInference:
    """Return the first story under the id of ``call``, with the legs that ``call`` has now."""
    legs = {leg.key for leg in call.legs}
    path, own = main.path, call.path
    return replace(
        main,
        id=call.id,
        legs=call.legs,
        parties=call.parties,
        continues=(*main.continues, main.id),
        path=replace(
            path,
            since={**{key: own.since[key] for key in legs}, **_kept(path.since, own.since)},
            presence={key: _present(path.presence.get(key), own.presence[key]) for key in legs},
            lines=path.lines.union(leg.dn for leg in call.legs if leg.kind == "externalline"),
            extensions=path.extensions.union(
                leg.dn for leg in call.legs if leg.kind == "extension"
            ),
        ),
    )


def _kept(
    held: Mapping[str, tuple[str, float]], now: Mapping[str, tuple[str, float]]
) -> Mapping[str, tuple[str, float]]:
    """Return since when legs are in a state that they had in the first call already."""
    return {key: said for key, said in held.items() if key in now and now[key][0] == said[0]}


def _present(
    held: tuple[float, float | None] | None, now: tuple[float, float | None]
) -> tuple[float, float | None]:
    """Return since when a leg is there: a leg of the first call has been there since then."""
    return now if held is None else (held[0], None)


def _parties(call: CallInference) -> frozenset[Party]:
    return frozenset(
        (leg.dn, leg.external_party if leg.kind == "externalline" else "")
        for leg in call.legs
        if leg.kind in PEOPLE or leg.kind == "queue"
    )


def _left(call: CallInference, settled: CallInference) -> list[str]:
    """Return the extensions that were in the call, not only rung, and are there no more."""
    present = {leg.dn for leg in call.legs}
    return [
        leg.dn
        for leg in settled.legs
        if leg.kind == "extension" and leg.status != "Ringing" and leg.dn not in present
    ]


def _handover(
    call: CallInference, other: CallInference, person: str, come: frozenset[Party]
) -> Handover | None:
    """Return the transfer by this person that brought parties of the other call to this one."""
    main, consultation = sorted((call, other), key=lambda each: (each.started_at, each.id))
    if main.answer.at is None or consultation.originator.dn != person:
        return None
    if main is other and _is_main(other, person, come):
        return Handover(main, consultation)
    called = main is not other and not come.isdisjoint(_called(other))
    return Handover(main, consultation) if called else None


def _is_main(call: CallInference, person: str, come: frozenset[Party]) -> bool:
    """Return whether one whom this person talked with in the call has come to another one."""
    number = call.originator.number if call.originator.external else ""
    known = {(call.originator.dn, number), _reached(call), *_parties(call)}
    return any(party in known and party[0] != person for party in come)


def _called(call: CallInference) -> tuple[Party, Party]:
    """Return the party whom the call reached, and the queue in which it waited."""
    return _reached(call), (call.place.last_queue, "")


def _reached(call: CallInference) -> Party:
    """Return the party whom the call reached; it may have left since."""
    outside = call.path.reached in call.path.lines
    return call.path.reached, call.path.reached_number if outside else ""
