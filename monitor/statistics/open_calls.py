"""Keep the accounts of all calls that are not yet counted for good. Pure.

Times are POSIX milliseconds. What may be told again counts once:

- A tracker's edits of a call make a chain: each begins with the result of the one before. An edit
  that does not is old and is ignored. So is a call that is known to be over.
- A new tracker begins new chains. What it shows of a call is taken as the call's next state if it
  is the same call.
- A call is over when its end is first told. Until the call is counted for good, that end may be
  replaced: if it was taken back, if a full state tells it otherwise, or if nobody had seen it and
  somebody else had. Any other end is ignored, also after the call was counted for good, as its id
  and its times are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec import Struct, field
from msgspec.structs import replace

from monitor.shared.changes import Edit
from monitor.shared.entities import topics
from monitor.statistics import call_account as of_call
from monitor.statistics import extension_visits as turns
from monitor.statistics.call_account import CallAccount
from monitor.statistics.durations import unix_ms
from monitor.statistics.queue_visits import SOON_MS
from monitor.statistics.subjects import Place, Subjects

COUNTED_KEPT = 20_000
"""Ids of calls that were counted for good. Of more, those that were counted first are forgotten;
what is told of a call that ended before the oldest of the others then counts no more."""
LIVES_KEPT = 100
"""Calls of one id that were counted for good: each restart of the PBX may make one more."""
_TAKEN_KEPT = 1_000
"""Edits of one call that are known to be taken."""
_UNSURE_MS = 10_000
"""Milliseconds after a lost PBX is in sight again within which nobody can say when a call ended."""


class ClosedCall(Struct, frozen=True):
    """Hold a call that is over.

    ``before``: its account until then, None if nothing was known. ``at``: when its end was told.
    ``seen``: whether it was watched to its end.
    """

    before: CallAccount | None
    account: CallAccount
    word: topics.EndedCall | None
    """The entity that told how it ended; None if it was found to be gone."""
    at: int
    seen: bool


class OpenCallsState(Struct):
    """Hold what is known of calls, to be kept and handed to the next monitor."""

    open: dict[int, CallAccount] = field(default_factory=dict)
    """Call id → its account."""
    closed: dict[str, ClosedCall] = field(default_factory=dict)
    """The call's id and start → a call that is over but not yet counted for good."""
    counted: dict[int, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    """Call id → start and end of each call of this id that was counted for good.

    Tuples, as the garbage collector does not look at those of numbers again and again."""


class OpenCalls:
    """Keep ``held`` and ``places`` in step with what is told."""

    def __init__(self, held: OpenCallsState) -> None:
        self.held = held
        self.places = Subjects()
        self._last: dict[int, topics.Call] = {}
        self._taken: dict[int, dict[int, None]] = {}
        self._closed: dict[int, dict[str, None]] = {}
        """Call id → keys of its calls that are over."""
        self._forgotten_before = 0
        for call_id, account in held.open.items():
            self.places.show(str(call_id), account)
        for key, closed in held.closed.items():
            self.places.show(key, closed.account)
            self._closed.setdefault(closed.account.call_id, {})[key] = None

    @property
    def going_on(self) -> int:
        """Return how many calls go on, without those that a new tracker has not shown yet."""
        return len(self._last)

    def take(self, edits: Sequence[Edit], at: int, watched_since: int | None) -> None:
        """Update the open calls by a change.

        ``at``: now. ``watched_since``: time since when the PBX is watched; None while it is not.
        """
        taken_back = {edit.id for edit in edits if edit.topic == "ended" and edit.after is None}
        going_on = [edit.after for edit in edits if isinstance(edit.after, topics.Call)]
        for edit in edits:
            if edit.topic == "ended" and isinstance(edit.after, topics.EndedCall):
                if isinstance(edit.before, topics.EndedCall):
                    taken_back.add(edit.before.id)
                self._ended(edit.after, taken_back, at, watched_since)
        for call in going_on:
            self._carry_on(call)
        for edit in edits:
            if edit.topic == "calls":
                self._edited(
                    edit, at, unwatched=watched_since is None or at - watched_since <= SOON_MS
                )

    def reread(
        self, calls: Iterable[topics.Call], ended: Iterable[topics.EndedCall], at: int
    ) -> None:
        """Take in all calls that go on and those that are known to have ended.

        A call that is among neither is gone.
        """
        for word in ended:
            self._ended(word, {word.id}, at, 0)  # what this id told before holds no more
        present: set[int] = set()
        for call in calls:
            present.add(call.call_id)
            self._carry_on(call)
            if self._last.get(call.call_id) != call:
                self._shown(call, at, unwatched=call.call_id not in self._last)
        for call_id in [call_id for call_id in self.held.open if call_id not in present]:
            self._vanish(call_id, at)

    def settle(self, before: int) -> list[CallAccount]:
        """Remove and return the accounts of calls whose end was told before this time.

        They are to be counted for good. Their ids are kept.
        """
        settled: list[CallAccount] = []
        for key in [key for key, closed in self.held.closed.items() if closed.at < before]:
            account = self._removed(key).account
            settled.append(account)
            times = (account.started, account.started if account.ended is None else account.ended)
            lives = self.held.counted.pop(account.call_id, ())
            self.held.counted[account.call_id] = (*lives, times)[-LIVES_KEPT:]
        over = max(0, len(self.held.counted) - COUNTED_KEPT)
        for call_id in list(islice(self.held.counted, over)):
            del self.held.counted[call_id]
        return settled

    def forget(self, before: int) -> None:
        """Forget the ids of calls that ended before this time.

        What is told of such a call counts only if the call is known as going on until then.
        """
        self._forgotten_before = before
        for call_id, lives in list(self.held.counted.items()):
            kept = tuple(life for life in lives if life[1] >= before)
            if kept:
                self.held.counted[call_id] = kept
            else:
                del self.held.counted[call_id]

    def unsettled(self, begin: int, end: int, target: int) -> Iterator[Place]:
        """Yield the queues and extensions whose statistics time alone changed between two moments.

        Callers wait there, or a call rings for longer than the target (seconds) now.
        """
        for account in self.held.open.values():
            yield from (
                ("queues", visit.queue) for visit in account.visits if visit.end == "waiting"
            )
            yield from (
                ("extensions", turn.num)
                for turn in account.turns
                if turns.changes_between(turn, begin, end, target)
            )

    # calls that go on

    def _edited(self, edit: Edit, at: int, *, unwatched: bool) -> None:
        call_id = int(edit.id)
        if not self._is_next(edit, call_id):
            return
        if not isinstance(edit.after, topics.Call):
            self._vanish(call_id, at)
            return
        self._shown(edit.after, at, unwatched=unwatched)
        if call_id in self._last:
            taken = self._taken.setdefault(call_id, {})
            taken[hash(edit)] = None
            if len(taken) > _TAKEN_KEPT:
                taken.clear()

    def _is_next(self, edit: Edit, call_id: int) -> bool:
        """Return whether an edit goes on from the call as it was last shown.

        Equality alone does not prove it: a call may come to look as it looked before.
        """
        last = self._last.get(call_id)
        if edit.before is last or (last is None and edit.after is not None):
            return True
        return edit.before == last and hash(edit) not in self._taken.get(call_id, ())

    def _shown(self, call: topics.Call, at: int, *, unwatched: bool) -> None:
        account = self.held.open.get(call.call_id)
        if (
            account is not None
            and call.call_id not in self._last
            and not of_call.is_same(account, call)
        ):
            self._vanish(call.call_id, at)
            account = None
        if account is None:
            account = self._found_again(call)
        if account is None and self._is_over(call.call_id, unix_ms(call.started_at)):
            return
        now = (
            of_call.opened(call, at)
            if account is None
            else of_call.observed(account, call, at, unwatched=unwatched)
        )
        self.held.open[call.call_id] = now
        self._last[call.call_id] = call
        self.places.show(str(call.call_id), now)
        self._share_talks(account, now, at)

    def _share_talks(self, before: CallAccount | None, now: CallAccount, at: int) -> None:
        """Let an extension's other talks rest while it talks in this call, and go on after that."""
        were = turns.talking(before.turns) if before is not None else frozenset[str]()
        are = turns.talking(now.turns)
        for num in are - were:
            for other in self._open_at(num, now.call_id):
                self._replace(replace(other, turns=turns.put_on_hold(other.turns, num, at)))
        for num in were - are:
            resting = [
                (turn.answered or 0, other.call_id, other)
                for other in self._open_at(num, now.call_id)
                for turn in other.turns
                if turn.num == num and turn.on_hold
            ]
            if resting and not any(
                num in turns.talking(other.turns) for other in self._open_at(num, now.call_id)
            ):
                other = max(resting, key=lambda rest: rest[:2])[2]
                self._replace(replace(other, turns=turns.resumed(other.turns, num, at)))

    def _open_at(self, num: str, but: int) -> list[CallAccount]:
        """Return the accounts of calls that go on at an extension, without one of them."""
        accounts = self.places.of(("extensions", num))
        return [each for each in accounts if each.ended is None and each.call_id != but]

    def _replace(self, account: CallAccount) -> None:
        self.held.open[account.call_id] = account
        self.places.show(str(account.call_id), account)

    def _carry_on(self, call: topics.Call | topics.EndedCall) -> None:
        """Give the account of a call that goes on under another id this id."""
        for before in call.continues:
            if call.call_id in self.held.open or before not in self.held.open:
                continue
            account = replace(self.held.open.pop(before), call_id=call.call_id)
            self._last.pop(before, None)
            self._taken.pop(before, None)
            self.places.show(str(before), None)
            self.held.open[call.call_id] = account
            self.places.show(str(call.call_id), account)

    def _found_again(self, call: topics.Call) -> CallAccount | None:
        """Return the account of a call that was only thought to be gone, or None."""
        for key in self._closed.get(call.call_id, ()):
            closed = self.held.closed[key]
            account = closed.before
            if closed.word is None and account is not None and of_call.is_same(account, call):
                self._removed(key)
                return account
        return None

    def _vanish(self, call_id: int, at: int) -> None:
        account = self.held.open[call_id]
        self._close(ClosedCall(account, of_call.vanished(account, at), None, at, False))

    # calls that are over

    def _ended(
        self, word: topics.EndedCall, taken_back: set[str], at: int, watched_since: int | None
    ) -> None:
        started, ended = unix_ms(word.started_at), unix_ms(word.ended_at)
        self._carry_on(word)
        account = self.held.open.get(word.call_id)
        if account is not None and of_call.is_same_life(account.started, None, started, ended):
            seen = watched_since is not None and (
                watched_since <= account.started or at - watched_since >= _UNSURE_MS
            )
            self._close(
                ClosedCall(account, of_call.concluded(account, word, seen=seen), word, at, seen)
            )
            return
        found = self._closed_as(word.call_id, started, ended)
        if found is not None:
            closed = self.held.closed[found]
            told = closed.word
            if told is None or told.id in taken_back or told.outcome == "unknown" != word.outcome:
                self._correct(found, closed, word)
        elif ended >= self._known_since and not self._was_counted(word.call_id, started, ended):
            self._close(ClosedCall(None, of_call.of_end_alone(word), word, at, True))

    def _correct(self, key: str, closed: ClosedCall, word: topics.EndedCall) -> None:
        if closed.before is None:
            account = of_call.of_end_alone(word)
        else:
            account = of_call.concluded(closed.before, word, seen=closed.seen)
        self.held.closed[key] = ClosedCall(closed.before, account, word, closed.at, closed.seen)
        self.places.show(key, account)

    def _close(self, closed: ClosedCall) -> None:
        account = closed.account
        if closed.before is not None:
            self.held.open.pop(account.call_id, None)
            self._last.pop(account.call_id, None)
            self._taken.pop(account.call_id, None)
            self.places.show(str(account.call_id), None)
            self._share_talks(closed.before, account, account.ended or closed.at)
        key = f"{account.call_id}@{account.started}"
        self.held.closed[key] = closed
        self._closed.setdefault(account.call_id, {})[key] = None
        self.places.show(key, account)

    def _removed(self, key: str) -> ClosedCall:
        """Remove and return a call that is over."""
        closed = self.held.closed.pop(key)
        keys = self._closed[closed.account.call_id]
        del keys[key]
        if not keys:
            del self._closed[closed.account.call_id]
        self.places.show(key, None)
        return closed

    def _closed_as(self, call_id: int, started: int, ended: int) -> str | None:
        for key in self._closed.get(call_id, ()):
            account = self.held.closed[key].account
            if of_call.is_same_life(account.started, account.ended, started, ended):
                return key
        return None

    @property
    def _known_since(self) -> int:
        """Return the time since when the id of each call that ended and was counted is kept."""
        counted = self.held.counted
        if len(counted) < COUNTED_KEPT:
            return self._forgotten_before
        return max(self._forgotten_before, *(end for _, end in next(iter(counted.values()))))

    def _was_counted(self, call_id: int, started: int, ended: int) -> bool:
        return any(
            of_call.is_same_life(*life, started, ended)
            for life in self.held.counted.get(call_id, ())
        )

    def _is_over(self, call_id: int, started: int) -> bool:
        """Return whether a call that began at this time is known to be over."""
        known = (self.held.closed[key] for key in self._closed.get(call_id, ()))
        lives = [
            (closed.account.started, closed.account.ended or 0)
            for closed in known
            if closed.word is not None
        ]
        return any(
            of_call.is_same_life(started, None, *life)
            for life in (*lives, *self.held.counted.get(call_id, ()))
        )
