"""Hold what the observer did and saw, and judge callmon by it. Pure.

Keys. A key that was made, with exit code 0, is never refused (401) until somebody has begun to
revoke it. A key whose revocation was confirmed is never taken from ``REVOKED_WITHIN_S`` on,
whatever happens later.

Commands. Each has a mark of its own, which the PBX shows once for each time that it was carried
out, and an Idempotency-Key. It is carried out once at most; once if any answer said that it was;
never if all answers said that nothing was done. Whoever was told that it was done is told the same
whenever he asks again. When all is well each audit log says the same: one entry of success for what
was told as done, none for what was not done, and for what was done some entry that does not call it
refused.

Figures. What happened while all was well is counted exactly; of what happened between the first
fault and the time when all was well again, each call is counted once at most, and as what it was,
as unknown or not at all.

*Documented losses.* Where the leader was not well when Redis was emptied, or before it had put back
what an emptied Redis lacks, callmon promises the standby's copy, not more: what is older than
``COPIED_WITHIN_S``. A standby that was not well copied nothing. What differs within these is told
apart. Ended calls, and what they count, come back with the lost leader's file: they are lost only
where a disk was full.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Said = Literal["done", "refused", "unknown"]
REVOKED_WITHIN_S = 3.0
"""One second is promised; the rest is for a machine that has much else to do."""
COPIED_WITHIN_S = 1.5
_UNDONE_504 = frozenset({"too_late", "position_not_reached"})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be.

    ``documented``: it lies within what is documented as a possible loss.
    """

    about: str
    text: str
    documented: bool = False

    def __str__(self) -> str:
        return f"{self.about}: {self.text}" + (" (a documented loss)" if self.documented else "")


@dataclass(slots=True)
class Key:
    """An API key. Instants are of the monotonic clock; None: it has not come to that."""

    name: str
    raw: str
    scopes: str
    made: float
    kept: bool
    """Whether callmon said that a monitor keeps it."""
    revoking: float | None = None
    revoked: float | None = None
    """When its revocation was confirmed, and kept."""

    @property
    def holds(self) -> bool | None:
        """Whether it must be taken; None: that is not known."""
        if self.revoked is not None:
            return False
        return None if self.revoking is not None or not self.kept else True


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a command. ``at``: when it came."""

    at: float
    said: Said
    status: int
    code: str
    result: str = ""
    """Of what was done: what was told of it, without what differs between repetitions."""


@dataclass(slots=True)
class Command:
    """One command under one Idempotency-Key.

    ``mark``: by which the PBX, and the audit log, show it.
    """

    mark: str
    name: str
    arguments: dict[str, str]
    begun: float
    replies: list[Reply] = field(default_factory=list)

    @property
    def told_done(self) -> bool:
        """Whether any answer said that it was done."""
        return any(reply.said == "done" for reply in self.replies)

    @property
    def told_refused(self) -> bool:
        """Whether every answer said that nothing was done."""
        return bool(self.replies) and all(reply.said == "refused" for reply in self.replies)


@dataclass(slots=True)
class Losses:
    """When Redis was emptied while the leader was not well.

    Likewise when it came to harm soon after.
    """

    at: list[float] = field(default_factory=list)
    uncopied: list[tuple[float, float]] = field(default_factory=list)
    """Since when nobody copied what was lost, and when that was lost."""
    disk_full: bool = False
    """Whether a disk was full at any time."""

    def cover(self, moment: float | None, within: float) -> bool:
        """Whether something of that moment may have been lost."""
        if moment is None:
            return False
        spans = [*((at, at) for at in self.at), *self.uncopied]
        return any(since - within <= moment <= until + 1.0 for since, until in spans)


def reply_of(at: float, status: int, body: Mapping[str, Any]) -> Reply:
    """What an HTTP answer to a command says."""
    error = body.get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    if status == 200:
        return Reply(at, "done", status, code, repr(sorted(body.items())))
    said: Said = "unknown" if status == 504 and code not in _UNDONE_504 else "refused"
    return Reply(at, said, status, code)


def judge_probe(key: Key, asked: float, status: int, code: str, losses: Losses) -> Violation | None:
    """Whether a key was taken that must not be, or refused though it holds.

    ``asked``: when the request was begun.
    """
    taken = status not in (401, 403) and status < 500
    if key.revoked is not None and taken and asked > key.revoked + REVOKED_WITHIN_S:
        documented = losses.cover(key.revoked, COPIED_WITHIN_S)
        return Violation(
            "revoked key",
            f"{key.name} is taken {asked - key.revoked:.1f} s after its end",
            documented,
        )
    if key.holds and status in (401, 403):
        return Violation(
            "key",
            f"{key.name} holds and is refused: {code}",
            losses.cover(key.made, COPIED_WITHIN_S),
        )
    return None


def judge_command(
    command: Command, times: int, losses: Losses, *, final: Reply | None
) -> Iterable[Violation]:
    """What is wrong with a command that the PBX shows so many times.

    ``final``: the answer when all is well again.
    """
    done = [reply for reply in command.replies if reply.said == "done"]
    documented = any(
        losses.cover(reply.at, COPIED_WITHIN_S) for reply in command.replies
    ) or losses.cover(command.begun, COPIED_WITHIN_S)
    story = (
        f"{command.name} {command.mark} "
        f"[{', '.join(f'{r.status} {r.code}'.strip() for r in command.replies)}]"
    )
    if times > 1:
        yield Violation("command", f"{story}: carried out {times} times", documented)
    if done and times == 0:
        yield Violation("command", f"{story}: told as done, and was not")
    if command.told_refused and times:
        yield Violation("command", f"{story}: told that nothing was done, and it was")
    if len({reply.result for reply in done}) > 1:
        yield Violation(
            "command",
            f"{story}: told in two ways: {sorted({reply.result for reply in done})}",
            documented,
        )
    if done and final is not None and final.said != "done":
        yield Violation(
            "once-record",
            f"{story}: was told as done, is told {final.status} {final.code}",
            documented,
        )
    wrong = {reply.code for reply in command.replies if reply.status in (401, 403, 409, 500)}
    if wrong:
        yield Violation("command", f"{story}: answered {', '.join(sorted(wrong))}", documented)


def judge_audit(
    command: Command, times: int, results: Sequence[str], whose: str, losses: Losses
) -> Iterable[Violation]:
    """What is wrong with a monitor's audit entries about a command.

    ``results``: the last column of each.
    """
    moments = (command.begun, *(reply.at for reply in command.replies))
    documented = any(losses.cover(at, COPIED_WITHIN_S) for at in moments)
    story = (
        f"{command.name} {command.mark}, at the PBX {times}, in {whose}'s audit log "
        f"{list(results) or 'nothing'}"
    )
    if times and not {"success", "outcome_unknown"} & set(results):
        yield Violation("audit", f"{story}: done and not audited", documented)
    if command.told_done and "success" not in results:
        yield Violation("audit", f"{story}: told as done", documented)
    if results.count("success") > times:
        yield Violation("audit", f"{story}: audited more often than done", documented)
    if "begun" in results:
        yield Violation("audit", f"{story}: still called begun")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a figure may have grown by."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def judge_statistics(
    before: Mapping[str, int],
    after: Mapping[str, int],
    bounds: Mapping[str, Bounds],
    *,
    documented: bool,
) -> Iterable[Violation]:
    """Figures that did not grow as they should have."""
    for name, bound in bounds.items():
        grown = after.get(name, 0) - before.get(name, 0)
        if not bound.least <= grown <= bound.most:
            text = (
                f"{name} {before.get(name, 0)} → {after.get(name, 0)}, should have grown by {bound}"
            )
            yield Violation("statistics", text, documented)
