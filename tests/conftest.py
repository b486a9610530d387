"""Provide the fixtures that several packages' tests share."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.bus import Bus, RealBus, fake_bus, real_bus
from tests.examples import FUZZ

ROOT = Path(__file__).parents[1]

# Neither the settings of this machine nor those of a developer at work here belong to a test, in
# whatever process.
for name in [name for name in os.environ if name.startswith("CALLMON_") and "__" in name]:
    del os.environ[name]
os.environ |= {"CALLMON_CONFIG": os.devnull, "CALLMON_ETC": "/nonexistent/callmon"}
os.environ["LC_ALL"] = "C.UTF-8"  # commands speak the user's language
# Whoever works behind a proxy has http_proxy set, and the tests' servers are all on this machine.
for _name in ("no_proxy", "NO_PROXY"):
    os.environ[_name] = ",".join(
        filter(None, (os.environ.get(_name), "localhost", "127.0.0.1", "127.0.0.2", "::1"))
    )

# What passed passes again: whoever changes nothing must not meet a new example. `make fuzz` looks
# for those.
settings.register_profile("same", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("fuzz", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("fuzz" if FUZZ else "same")


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Spread tests over all workers; keep those of a file together that share something costly."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if _shares(file) else nodeid


@cache
def _shares(file: str) -> bool:
    return 'scope="module"' in (ROOT / file).read_text(encoding="utf-8")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    """Asked by pytest-xdist."""
    return Spread(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it.

    Most of the system's tests wait and the browser's compute: mixed, neither stands in a queue.
    """
    many = Counter(item.path.parent.name for item in items)
    met: Counter[str] = Counter()

    def when(item: pytest.Item) -> float:
        folder = item.path.parent.name
        met[folder] += 1
        return met[folder] / many[folder] if folder in {"system", "browser"} else 2.0

    items.sort(key=when)


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore logging after a command set it up in this process, and forget cached loggers."""
    configure, root = structlog.configure, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(
        structlog,
        "configure",
        lambda **given: configure(**given | {"cache_logger_on_first_use": False}),
    )
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture
def foreign() -> Iterator[Path]:
    """Give a directory that any user can reach, unlike pytest's."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        made = Path(folder) / "state"
        made.mkdir()
        yield made


@pytest.fixture
async def valkey() -> AsyncIterator[RealBus]:
    """A real server of the test's own, to be killed at will."""
    async with real_bus() as bus:
        yield bus


@pytest.fixture(params=["fakeredis", "valkey"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """The test runs twice: on the in-process server and on a real one."""
    if request.param == "valkey":
        async with real_bus() as real:
            yield real
    else:
        async with fake_bus() as fake:
            yield fake
