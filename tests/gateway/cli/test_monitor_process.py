"""What a monitor changes while it runs, and how it looks up names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.cli.monitor_process import MonitorReload
from monitor.config import DatabaseSection, MonitorSettings, PbxSection
from monitor.persistence.sqlite_store import Store
from monitor.run import WatchedPbx, watch
from tests.bus import real_bus
from tests.gateway.cli.console import ROOT


@asynccontextmanager
async def watched(settings: MonitorSettings) -> AsyncIterator[WatchedPbx]:
    store = Store(None)
    await store.open()
    async with real_bus() as bus:
        yield watch(settings.pbx[0], settings, bus.client(), store)
    await store.close()


async def test_a_secret_waits_where_it_is_for_another_client_or_role() -> None:
    def of(client: str, secret: str, user: str, password: str) -> MonitorSettings:
        database = DatabaseSection(host="db", user=user, password=SecretStr(password))
        section = PbxSection(
            name="main",
            url="https://pbx",
            client_id=client,
            client_secret=SecretStr(secret),
            database=database,
        )
        return MonitorSettings(pbx=(section,))

    found = of("one", "secret", "reader", "password")
    async with watched(found) as one:
        reload = MonitorReload(found, lambda: found)
        reload.watches([one])
        found = of("another", "its secret", "reader", "new password")
        assert reload()
        assert one.password is not None
        assert (one.secret.text, one.password.text) == ("secret", "new password")
        found = of("one", "new secret", "writer", "his password")
        assert reload()
        assert (one.secret.text, one.password.text) == ("new secret", "new password")


async def test_a_reload_that_comes_too_early_is_done_later() -> None:
    section = PbxSection(
        name="main", url="https://pbx", client_id="one", client_secret=SecretStr("secret")
    )
    before = MonitorSettings(pbx=(section,))
    after = MonitorSettings(pbx=(section.model_copy(update={"client_secret": SecretStr("new")}),))
    async with watched(before) as one:
        reload = MonitorReload(before, lambda: after)
        assert not reload()
        assert one.secret.text == "secret"
        reload.watches([one])
        assert one.secret.text == "new"


_OWN = ("unshare", "--mount", "--net")


def _may_unshare() -> bool:
    try:
        return subprocess.run([*_OWN, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_names_that_no_name_server_answers_for_hold_up_no_other_lookup(tmp_path: Path) -> None:
    if not _may_unshare():
        pytest.skip("only root may have a name server of its own here")
    settings = tmp_path / "callmon.toml"
    settings.write_text(
        '[redis]\nurl = "redis://127.0.0.1:1"\n[[pbx]]\nname = "main"\nurl = "https://pbx.example"\n'
        'client_id = "one"\nclient_secret = "secret"\n',
        encoding="utf-8",
    )
    # The monitor's log goes to stderr. The process is ended: the lookups would still take a while.
    with subprocess.Popen(
        [*_OWN, sys.executable, "-m", "tests.gateway.cli.dead_name_server", str(settings)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        process.kill()
    assert said == b"0\n", "those that hang were waited for"
