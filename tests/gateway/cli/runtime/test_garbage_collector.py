"""Test what the garbage collector visits, and that frozen garbage is found again."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import run as gateway_run
from gateway.cli import gateway_process, monitor_process
from gateway.cli.demo import run as run_demo
from gateway.cli.runtime import garbage_collector, logging_setup
from gateway.cli.runtime.garbage_collector import GarbageCollector, garbage_collected
from monitor import run as monitor_run
from tests.bus import until
from tests.conftest import ROOT

MOST = 500


class _Node:
    """Something that the collector visits, in a cycle with itself or not."""

    def __init__(self, *, cyclic: bool) -> None:
        self.me = self if cyclic else None


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def _visited(one: object) -> bool:
    return any(other is one for other in gc.get_objects())


def _begun(most_new: int = MOST, fewest_frozen: int = 10**9) -> GarbageCollector:
    collector = GarbageCollector(most_new, fewest_frozen)
    collector.begin()
    return collector


def test_what_exists_at_the_start_is_not_visited_again() -> None:
    mine = _Node(cyclic=True)
    assert _visited(mine)
    _begun()
    assert not _visited(mine)
    assert gc.get_threshold()[2] > 10**6, "Python makes no full collection by itself"


def test_a_few_new_objects_are_left_alone() -> None:
    collector = _begun()
    mine = [_Node(cyclic=True) for _ in range(MOST // 10)]
    gone = weakref.ref(_Node(cyclic=True))
    collector.look()
    assert _visited(mine[0])
    assert gone() is not None, "it is garbage, and there is too little to look for it"


def test_many_new_objects_are_frozen_if_they_are_in_use_and_freed_if_not() -> None:
    collector = _begun()
    mine = [_Node(cyclic=True) for _ in range(MOST)]
    garbage = [weakref.ref(_Node(cyclic=True)) for _ in range(MOST)]
    collector.look()
    assert not any(ref() for ref in garbage)
    assert not _visited(mine[0])
    assert not _visited(mine[-1])


def test_what_is_left_of_much_garbage_is_not_frozen() -> None:
    """Else each look would freeze a few objects that may be garbage a moment later."""
    collector = _begun()
    mine = [_Node(cyclic=True) for _ in range(MOST // 10)]
    gone = weakref.ref(_Node(cyclic=True))
    for _ in range(2 * MOST):
        _Node(cyclic=True)
    collector.look()
    assert gone() is None
    assert _visited(mine[0])


def test_frozen_garbage_is_found_once_the_frozen_objects_have_multiplied() -> None:
    before = _frozen_after_start()
    collector = _begun(MOST, fewest_frozen=0)
    once = [_Node(cyclic=True) for _ in range(MOST)]
    garbage = [weakref.ref(node) for node in once]
    collector.look()
    del once
    collector.look()
    assert all(ref() is not None for ref in garbage), "a frozen cycle is not looked at"
    mine = [_Node(cyclic=True) for _ in range(2 * before)]
    collector.look()
    assert not any(ref() for ref in garbage)
    assert not _visited(mine[0])


def test_garbage_never_holds_more_than_a_bounded_number_of_objects() -> None:
    """In a process of its own, which has few objects to visit."""
    run = subprocess.run(
        [sys.executable, "-c", _CHURN], capture_output=True, text=True, check=True, cwd=ROOT
    )
    before, *counts = map(int, run.stdout.splitlines()[-1].split())
    assert max(counts) < 4 * before
    assert max(counts[30:]) <= max(counts[:30]) * 1.2, "it does not grow"


_CHURN = """
import gc
from gateway.cli.runtime.garbage_collector import GarbageCollector

class Node:
    def __init__(self):
        self.me = self

collector = GarbageCollector(most_new=0, fewest_frozen=0)
collector.begin()
before = gc.get_freeze_count()
counts, generations = [before], []
for _ in range(60):  # each is frozen before it is garbage
    generations.append([Node() for _ in range(before // 10)])
    del generations[:-2]
    collector.look()
    counts.append(gc.get_freeze_count() + len(gc.get_objects()))
print(*counts)
"""


def _frozen_after_start() -> int:
    """Return how many objects are frozen at a start here: those of the tests' program too."""
    GarbageCollector().begin()
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    return frozen


async def test_it_looks_while_the_process_runs_and_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(garbage_collector, "_EVERY_S", 0.01)
    thresholds = gc.get_threshold()
    async with garbage_collected():
        mine = [_Node(cyclic=True) for _ in range(2 * garbage_collector.MOST_NEW)]
        await until(lambda: not _visited(mine[0]))
    assert gc.get_threshold() == thresholds
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("program", ["monitor", "gateway", "demo"])
async def test_each_program_that_runs_on_has_its_garbage_collected_so(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    async def note(*_: Any, **__: Any) -> None:
        seen.append(gc.get_freeze_count())
        raise _Enough

    def note_at_once(*_: Any, **__: Any) -> None:
        seen.append(gc.get_freeze_count())
        raise _Enough

    config = tmp_path / "callmon.toml"
    config.write_text(
        '[redis]\nurl = "redis://127.0.0.1:1"\n[[pbx]]\nname = "main"\n'
        'url = "http://127.0.0.1:1"\nclient_id = "a"\nclient_secret = "b"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(logging_setup, "configure", lambda *_: None)
    monkeypatch.setattr(monitor_run, "run", note)
    if program == "gateway":
        monkeypatch.setattr(gateway_run, "serving", note_at_once)
    starts = {
        "monitor": lambda: monitor_process.run(config),
        "gateway": lambda: gateway_process.run(config, 0),
        "demo": lambda: run_demo(0, 10, 1, 10, 1, hours=0),
    }
    with pytest.raises((_Enough, ExceptionGroup)):
        await starts[program]()
    assert len(seen) == 1
    assert seen[0] > 0


class _Enough(Exception):
    """Ends a program that was only to begin."""


def test_frozen_objects_are_not_counted_at_each_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = _begun()
    monkeypatch.setattr(gc, "get_freeze_count", lambda: pytest.fail("it visits all of them"))
    kept = []
    for _ in range(5):
        kept += [_Node(cyclic=True) for _ in range(2 * MOST)]
        collector.look()
    assert not any(map(_visited, kept)), "they are frozen"


async def test_where_many_pbxs_are_more_new_objects_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most: list[int] = []

    class Noted(GarbageCollector):
        def __init__(self, most_new: int) -> None:
            super().__init__(most_new)
            most.append(most_new)

    monkeypatch.setattr(garbage_collector, "GarbageCollector", Noted)
    for pbxs in (1, 50, 5_000):
        async with garbage_collected(pbxs):
            pass
    assert most == [10_500, 35_000, 150_000], "never so many that it stops the loop for long"
