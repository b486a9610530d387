"""Write journals by hand, for the tests of the truth itself."""

from __future__ import annotations

import re
from typing import Final, get_args

from monitor.simulator.calls.acts import Act, Deed
from tests.truth.calls import Story, Watcher

_KINDS: Final = {
    "1": "extension",
    "L": "externalline",
    "Q": "queue",
    "M": "ivr",
    "V": "specialmenu",
    "F": "fax",
    "P": "parking",
    "C": "conference",
    "A": "routepoint",
}
"""First letter of a DN → its kind."""
_LINE: Final = re.compile(r"(\d+) (\w+)(?: (\w+))?(?:\((\S+)\))?(?: >(\S+))?(?: of (\d+))?")


def watched(journal: str) -> Watcher:
    """Return who has seen a journal with lines such as ``3 ringing L2(+49301) >Q1 of 7``.

    These are the second, the deed, the DN, the number outside, the other DN and the other call.
    ``call 7`` says which call the next lines are of; without it they are of call 1.
    """
    watcher, call = Watcher(), 1
    for line in filter(None, map(str.strip, journal.splitlines())):
        if line.startswith("call "):
            call = int(line.removeprefix("call "))
            continue
        found = _LINE.fullmatch(line)
        assert found is not None, line
        at, deed, dn, number, to, other = found.groups(default="")
        assert deed in get_args(Deed), line
        watcher.saw(
            Act(float(at), deed, call, dn, _KINDS.get(dn[:1]), number, to, int(other or 0))  # type: ignore[arg-type]  # checked above
        )
    return watcher


def story(journal: str) -> Story:
    """Return the only call of a journal, or the one that ended last."""
    watcher = watched(journal)
    return next(iter(watcher.calls.values())) if watcher.calls else watcher.over[-1]
