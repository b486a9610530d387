from __future__ import annotations

from monitor.simulator.xapi.description.operations import invoked
from monitor.simulator.xapi.reports.table import REPORTS


def test_every_report_in_the_table_is_a_function_of_the_official_file() -> None:
    owners = {owner for owner, _ in invoked()}
    assert set(REPORTS) <= owners


def test_what_has_no_rows_is_about_chats_callbacks_and_charts() -> None:
    empty = {owner for owner, _ in invoked() if owner.startswith("Report")} - set(REPORTS)
    words = ("Chat", "Callbacks", "AverageQueueWaitingTime", "QueueAnUnCalls")
    assert all(any(word in owner for word in words) for owner in empty), empty
