"""Test that root's rights are given up and come back whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.persistence.directory_owner import as_owner_of


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_rights_that_cannot_all_be_given_up_come_back(
    foreign: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(foreign, 12_345, 23_456)
    before = os.geteuid(), os.getegid(), os.getgroups()
    become = os.seteuid

    def seteuid(user: int) -> None:
        if user:
            raise OSError(22, "Invalid argument")  # a user that a container does not know
        become(user)

    monkeypatch.setattr(os, "seteuid", seteuid)
    with pytest.raises(OSError, match="Invalid argument"), as_owner_of(foreign):
        pass
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
