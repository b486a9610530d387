"""When agents were logged in to their queues."""

from __future__ import annotations

from monitor.simulator.xapi.reports.login_history import LoginHistory
from tests.monitor.simulator.exchange_bench import NOON, Bench


def test_sessions_begin_and_end_with_either_login() -> None:
    pbx = Bench()
    history = LoginHistory(pbx.directory, lambda: pbx.now)
    user = pbx.directory.entity("104")
    assert user is not None
    pbx.now += 100
    pbx.directory.update(user, {"QueueStatus": "LoggedOut"})
    pbx.now += 50
    pbx.directory.update(user, {"QueueStatus": "LoggedIn"})
    pbx.now += 20
    pbx.directory.logins.set("800", "104", logged_in=False)
    pbx.now += 20
    pbx.directory.logins.set("800", "104", logged_in=True)
    pbx.now += 5
    found = list(history.sessions("800", "104", 0, 2**40))
    assert [(began - NOON, ended - NOON) for began, ended in found] == [
        (0, 100),
        (150, 170),
        (190, 195),
    ]
    assert history.seconds("800", "104", NOON + 90, NOON + 160) == 20
    assert history.seconds("800", "105", 0, 2**40) == 195
    assert history.seconds("800", "101", 0, 2**40) == 0, "no agent of it"
