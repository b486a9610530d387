"""Find regular expressions that take more than linear time, on their automaton, without a clock.

Python's ``re`` goes back and tries again where it fails. That is exponential where a text can be
read in two ways round one loop, and quadratic or worse where two loops can share a text (Weber and
Seidl, "On the degree of ambiguity of finite automata"; Wüstholz and others, "Static detection of
DoS vulnerabilities"). A search that starts anew at each place is a loop of its own before the
expression. Bounded repetitions above three are taken as unbounded, possessive ones as greedy: so it
says too much rather than too little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any, Final, Literal

Growth = Literal["linear", "polynomial", "exponential"]
_ALPHABET: Final = frozenset(map(chr, range(128))) | {
    "é",
    "Ω",
    "Ы",
    "\u0663",
    "\u00a0",
    "\u2028",
    "字",
}
_LETTER_BY_LETTER: Final = 3


@dataclass
class _Part:
    """A part of the expression, as Glushkov has it: positions that may be first or last.

    Whether it may be empty.
    """

    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    empty: bool = True


@dataclass
class _Automaton:
    """Positions, what each reads, and what may follow it."""

    flags: int
    reads: list[frozenset[str]] = field(default_factory=list)
    after: list[set[int]] = field(default_factory=list)
    ends_pinned: bool = False
    twofold: set[tuple[int, int]] = field(default_factory=set)
    """Steps that the expression allows in two ways, as both loops of ``(a+)+`` do."""
    idle_choice: bool = False
    """Whether it has a choice between nothing and nothing."""

    def position(self, reads: frozenset[str]) -> _Part:
        self.reads.append(reads)
        self.after.append(set())
        here = frozenset({len(self.reads) - 1})
        return _Part(here, here, empty=False)

    def sequence(self, parts: Any) -> _Part:
        whole = _Part()
        for operator, argument in parts:
            whole = self._joined(whole, self._part(operator, argument))
        return whole

    def loop(self, part: _Part) -> None:
        for at in part.last:
            self.step(at, part.first)

    def step(self, at: int, to: frozenset[int]) -> None:
        self.twofold |= {(at, follower) for follower in self.after[at] & to}
        self.after[at] |= to

    def _joined(self, left: _Part, right: _Part) -> _Part:
        for at in left.last:
            self.step(at, right.first)
        return _Part(
            left.first | right.first if left.empty else left.first,
            right.last | left.last if right.empty else right.last,
            left.empty and right.empty,
        )

    def _part(self, operator: Any, argument: Any) -> _Part:
        if operator in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self.position(_letters(_single(operator, argument), self.flags))
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            return self._repeat(*argument)
        if operator is sre.BRANCH:
            return self._either([self.sequence(each) for each in argument[1]])
        if operator is sre.SUBPATTERN:
            return self.sequence(argument[3])
        if operator is sre.ATOMIC_GROUP:
            return self.sequence(argument)
        if operator in (sre.ASSERT, sre.ASSERT_NOT):
            return _Part(
                self.sequence(argument[1]).first
            )  # read, then gone back: nothing follows it
        if operator is sre.AT:
            self.ends_pinned |= argument in (sre.AT_END, sre.AT_END_STRING)
            return _Part()
        raise NotImplementedError(
            f"{operator} in a regular expression: teach this module what it does"
        )

    def _repeat(self, least: int, most: int, body: Any) -> _Part:
        if most == 0:
            return _Part()
        if most <= _LETTER_BY_LETTER:
            whole = _Part()
            for count in range(most):
                part = self.sequence(body)
                whole = self._joined(
                    whole, _Part(part.first, part.last, part.empty or count >= least)
                )
            return whole
        part = self.sequence(body)
        self.loop(part)
        return _Part(part.first, part.last, part.empty or least == 0)

    def _either(self, parts: list[_Part]) -> _Part:
        self.idle_choice |= sum(part.empty for part in parts) > 1
        return _Part(
            frozenset().union(*(part.first for part in parts)),
            frozenset().union(*(part.last for part in parts)),
            any(part.empty for part in parts),
        )


def _single(operator: Any, argument: Any) -> Any:
    pattern = sre_parser.SubPattern(sre_parser.State())
    pattern.append((operator, argument))
    return pattern


def _letters(single: Any, flags: int) -> frozenset[str]:
    """Which letters of the alphabet a pattern of one letter reads."""
    single.state.str, single.state.flags = "", flags
    matches = _compiled(single, flags).match
    return frozenset(letter for letter in _ALPHABET if matches(letter))


def _compiled(single: Any, flags: int) -> re.Pattern[str]:
    from re import _compiler  # type: ignore[attr-defined]

    pattern: re.Pattern[str] = _compiler.compile(single, flags)
    return pattern


@cache
def growth(pattern: str, flags: int = 0, *, search: bool = False, full: bool = False) -> Growth:
    """Return how the time of a match grows with the text.

    ``search``: it may begin anywhere; ``full``: fullmatch.
    """
    parsed = sre_parser.parse(pattern, flags)
    flags = parsed.state.flags
    automaton = _Automaton(flags)
    if search and not pattern.startswith(("^", r"\A")):
        before = automaton.position(_ALPHABET)
        automaton.loop(before)
        start = _Part(before.first, before.last)
    else:
        start = _Part()
    whole = automaton._joined(start, automaton.sequence(parsed))
    can_fail = full or automaton.ends_pinned
    return _Analysis(
        automaton, _takes_any_rest(automaton, whole.last - start.last) if can_fail else whole.last
    ).growth()


def _takes_any_rest(automaton: _Automaton, last: frozenset[int]) -> frozenset[int]:
    """Return the positions at which the text may end, or go on with anything."""
    anything = {at for at in last if automaton.reads[at] == _ALPHABET and at in automaton.after[at]}
    return frozenset(at for at in last if automaton.after[at] & anything)


@dataclass
class _Analysis:
    """Analyse an automaton. ``accepts``: positions after which nothing can fail any more."""

    automaton: _Automaton
    accepts: frozenset[int]

    def growth(self) -> Growth:
        reach = [self._reachable(at) for at in range(len(self.automaton.reads))]
        loops = [at for at in range(len(reach)) if at in reach[at] and at not in self.accepts]
        twice = any(at in reach[to] and at not in self.accepts for at, to in self.automaton.twofold)
        if twice or self.automaton.idle_choice or any(self._two_ways_round(at) for at in loops):
            return "exponential"
        if any(self._shared(p, q) for p in loops for q in loops if p != q and q in reach[p]):
            return "polynomial"
        return "linear"

    def _reachable(self, at: int) -> set[int]:
        found: set[int] = set()
        left = [at]
        while left:
            fresh = self.automaton.after[left.pop()] - found
            found |= fresh
            left.extend(fresh)
        return found

    def _steps(self, states: tuple[int, ...]) -> list[tuple[int, ...]]:
        """All positions that may be reached together by one letter, the same for all."""
        found: list[tuple[tuple[int, ...], frozenset[str]]] = [((), _ALPHABET)]
        for state in states:
            found = [
                ((*so_far, follower), both)
                for so_far, letters in found
                for follower in self.automaton.after[state]
                if (both := letters & self.automaton.reads[follower])
            ]
        return [states for states, _ in found]

    def _leads(self, start: tuple[int, ...], end: tuple[int, ...], parted: bool) -> bool:
        """Whether a text leads from ``start`` to ``end``; ``parted``: by different ways."""
        begin = (start, not parted)
        seen, left = {begin}, [begin]
        while left:
            states, done = left.pop()
            for after in self._steps(states):
                state = (after, done or len(set(after)) > 1)
                if state == (end, True):
                    return True
                if state not in seen:
                    seen.add(state)
                    left.append(state)
        return False

    def _two_ways_round(self, at: int) -> bool:
        return self._leads((at, at), (at, at), parted=True)

    def _shared(self, p: int, q: int) -> bool:
        return self._leads((p, p, q), (p, q, q), parted=False)
