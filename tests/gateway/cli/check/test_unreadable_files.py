"""Files that the services' user may not read, found by root."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gateway.cli.check import unreadable_files as file_permissions


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can tell what another user may read")
async def test_a_file_that_the_services_user_may_not_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(
        prefix="callmon-files-"
    ) as made:  # pytest's own are closed to other users
        folder = Path(made)
        settings, authority = folder / "callmon.toml", folder / "ca.pem"
        monkeypatch.setenv("CALLMON_ETC", made)
        monkeypatch.setattr(file_permissions, "SERVICES_USER", "nobody")
        settings.touch(mode=0o600)
        authority.touch()

        async def said(config: Path) -> list[str]:
            return [
                str(finding)
                async for finding in file_permissions.look_at(
                    config, authority, folder / "none", None
                )
            ]

        folder.chmod(0o755)  # noqa: ASYNC240 - a temporary directory
        (only,) = await said(settings)
        assert only.startswith(
            f"WRONG files: {settings} cannot be read by the user nobody, as whom the services run"
        )
        settings.chmod(0o644)
        assert await said(settings) == []
        folder.chmod(0o700)  # noqa: ASYNC240 - a temporary directory
        assert len(await said(settings)) == 2
        assert await said(tmp_path / "mine.toml") == [], (
            "who runs with settings of his own is unknown"
        )
