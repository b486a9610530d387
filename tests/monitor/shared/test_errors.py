"""Test that what to do about a failure is told by its class."""

from __future__ import annotations

from monitor.shared.errors import (
    BusError,
    CallmonError,
    ConfigError,
    Fenced,
    PbxError,
    PbxGarbled,
    PbxRefused,
    PbxUnreachable,
    StartFailed,
)


def test_what_to_do_about_a_failure_is_told_by_its_kind() -> None:
    """The tree in the module's text is what its users catch."""
    unusable = StartFailed("x")
    assert isinstance(unusable, StartFailed)
    assert isinstance(unusable, ConfigError)
    assert isinstance(PbxGarbled("x"), PbxUnreachable)
    assert not isinstance(PbxRefused("x", 400), PbxUnreachable)
    assert isinstance(Fenced("x"), BusError)
    for error in (unusable, PbxRefused("x", 400), Fenced("x")):
        assert isinstance(error, CallmonError)
    assert not issubclass(BusError, PbxError)
