from __future__ import annotations

from monitor.simulator.xapi.description.operations import invoked
from monitor.simulator.xapi.reports.table import REPORTS


def test_every_report_in_the_table_is_a_function_of_the_official_file() -> None:
    owners = {owner for owner, _ in invoked()}
    assert set(REPORTS) <= owners


def test_what_has_no_rows_is_about_chats() -> None:
    empty = {owner for owner, _ in invoked() if owner.startswith("Report")} - set(REPORTS)
    assert all("Chat" in owner for owner in empty), empty
