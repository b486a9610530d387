"""Test that everything that bears the version says what pyproject.toml says."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

from gateway.cli.runtime.metrics_server import new_registry

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "version"
]
KUSTOMIZATION = ROOT / "deploy" / "kubernetes" / "kustomization.yaml"
"""Kubernetes cannot reckon a tag: tests/deploy/test_kubernetes.py compares it."""
CLIENTS = {
    ROOT / "gateway" / "stream_client" / "pyproject.toml",
    ROOT / "gateway" / "static" / "package.json",
}
"""The clients are packed by themselves, from their own folders."""


def test_the_changelog_has_the_version_with_its_day() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *released = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert first == "[Unreleased]"
    versions, days = zip(*(heading.split(" – ") for heading in released), strict=True)
    assert versions[0] == f"[{DECLARED}]"
    assert list(map(date.fromisoformat, days)) == sorted(
        map(date.fromisoformat, days), reverse=True
    )


def test_no_other_file_has_it_by_heart() -> None:
    suffixes = {".py", ".sh", ".md", ".toml", ".yaml", ".html", ".js", ".json", ".service", ""}
    owned = [
        path for folder in ("monitor", "gateway", "deploy") for path in (ROOT / folder).rglob("*")
    ]
    texts = (
        path for path in [*owned, *ROOT.glob("*.md")] if path.is_file() and path.suffix in suffixes
    )
    pattern = re.compile(rf"(?<![\d.]){re.escape(DECLARED)}(?![\d.])")
    bearers = {path for path in texts if pattern.search(path.read_text(encoding="utf-8"))}
    assert bearers == {ROOT / "CHANGELOG.md", KUSTOMIZATION, *CLIENTS}


def test_metrics_tell_it() -> None:
    build = {"version": DECLARED, "program": "monitor"}
    assert new_registry("monitor").get_sample_value("callmon_build_info", build) == 1.0
