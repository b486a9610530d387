from __future__ import annotations

from monitor.pbx.connection_state import ConnectionState, InterfaceCondition
from monitor.pbx.facts import ConnectionChanged


def news(state: ConnectionState) -> ConnectionChanged:
    changed = state.changed(5.0)
    assert changed is not None
    return changed


def test_it_is_connected_when_both_parts_are_live() -> None:
    state = ConnectionState()
    assert news(state) == ConnectionChanged("connecting", "", 5.0)
    state.call_control.set(InterfaceCondition.LIVE)
    assert state.changed(5.0) is None
    state.active_calls.set(InterfaceCondition.LIVE)
    assert news(state) == ConnectionChanged("connected", "", 5.0, "callcontrol+activecalls")
    assert state.changed(6.0) is None


def test_what_was_never_connected_is_not_lost() -> None:
    state = ConnectionState()
    state.call_control.set(InterfaceCondition.DOWN, "no route")
    assert news(state) == ConnectionChanged("connecting", "no route", 5.0)


def test_a_broken_socket_is_a_loss_until_everything_was_read_again() -> None:
    state = ConnectionState()
    state.call_control.set(InterfaceCondition.LIVE)
    state.active_calls.set(InterfaceCondition.LIVE)
    news(state)
    state.call_control.set(InterfaceCondition.DOWN, "cut")
    assert news(state) == ConnectionChanged("lost", "cut", 5.0)
    state.call_control.set(InterfaceCondition.UNKNOWN, "reading")
    assert news(state) == ConnectionChanged("connecting", "reading", 5.0)
    state.call_control.set(InterfaceCondition.LIVE)
    assert news(state).connection == "connected"


def test_a_part_that_refuses_is_done_without() -> None:
    state = ConnectionState()
    state.call_control.set(InterfaceCondition.REFUSED, "403")
    assert news(state).connection == "connecting"
    state.active_calls.set(InterfaceCondition.LIVE)
    assert news(state) == ConnectionChanged(
        "connected", "Without Call Control: 403", 5.0, "activecalls"
    )
    state.call_control.set(InterfaceCondition.LIVE)
    state.active_calls.set(InterfaceCondition.REFUSED, "403")
    assert news(state) == ConnectionChanged(
        "connected", "Without ActiveCalls: 403", 5.0, "callcontrol"
    )


def test_without_either_part_there_is_no_connection() -> None:
    state = ConnectionState()
    state.call_control.set(InterfaceCondition.REFUSED, "403")
    state.active_calls.set(InterfaceCondition.REFUSED, "403 too")
    assert news(state) == ConnectionChanged("connecting", "403 too", 5.0)


def test_where_the_settings_insist_on_both_neither_is_done_without() -> None:
    state = ConnectionState("callcontrol+activecalls")
    state.call_control.set(InterfaceCondition.REFUSED, "403")
    state.active_calls.set(InterfaceCondition.LIVE)
    assert news(state) == ConnectionChanged("connecting", "403", 5.0)
    state.call_control.set(InterfaceCondition.LIVE)
    assert news(state) == ConnectionChanged("connected", "", 5.0, "callcontrol+activecalls")
    state.active_calls.set(InterfaceCondition.DOWN, "502")
    assert news(state) == ConnectionChanged("lost", "502", 5.0)


def test_where_the_settings_want_active_calls_alone_call_control_does_not_matter() -> None:
    state = ConnectionState("activecalls")
    assert news(state) == ConnectionChanged("connecting", "", 5.0)
    state.active_calls.set(InterfaceCondition.LIVE)
    assert news(state) == ConnectionChanged("connected", "", 5.0, "activecalls"), (
        "what is not asked is not missed"
    )
    state.active_calls.set(InterfaceCondition.DOWN, "502")
    assert news(state) == ConnectionChanged("lost", "502", 5.0)
