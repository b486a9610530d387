"""What a monitor changes while it runs, when its settings are read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import SecretStr

from gateway.cli.monitor_process import MonitorReload
from monitor.config import DatabaseSection, MonitorSettings, PbxSection
from monitor.persistence.sqlite_store import Store
from monitor.run import WatchedPbx, watch
from tests.bus import real_bus


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
