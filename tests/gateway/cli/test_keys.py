"""Test ``callmon key``, with a monitor that stores keys and without one."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.auth.key_admin import KeyAdmin
from gateway.cli import keys
from gateway.config import GatewaySettings
from gateway.visibility import Limits
from monitor.shared.api_keys import Budgets, decode_key
from monitor.shared.errors import ConfigError
from monitor.shared.redis.key_names import AccessKeys
from tests.bus import RealBus
from tests.faults.clients import UNKEPT
from tests.test_keys import checkpoint

LIMITED = ["--queues", "800,801", "--networks", "192.0.2.0/24", "--reads", "600", "--makecall", "0"]
LIMITED += ["--time", "seconds"]


def run(work: Coroutine[Any, Any, int | None]) -> None:
    asyncio.run(work)


async def say(app: typer.Typer, *words: str) -> Result:
    """Run a command; beside this test's event loop, as it brings its own."""
    return await asyncio.to_thread(CliRunner().invoke, app, words)


def settings(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "callmon.toml"
    path.write_text(
        f'[redis]\nurl = "{url}"\n[[pbx]]\nname = "pbx"\n'
        f'[[keys]]\nname = "static"\ndigest = "{sha256_hex("a-static-key")}"\n'
    )
    return path


def made(name: str, out: str) -> tuple[str, ApiKey]:
    """The key that was shown, and what is to be kept of it."""
    found = re.search(r"shown this once: (\S+)", out)
    assert found is not None, out
    limits = Limits(None, frozenset({"800", "801"}), None)
    budgets = Budgets(reads=600, makecall=0)
    scopes = frozenset({"read", "control"})
    return found[1], ApiKey(
        *(name, sha256_hex(found[1]), "pbx", scopes, None, limits, ("192.0.2.0/24",), budgets),
        time="seconds",
    )


async def test_a_key_is_made_shown_once_listed_and_revoked(
    valkey: RealBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 60.0)
    app = keys.commands(run)
    config = ("--config", str(settings(tmp_path, valkey.url)))
    async with checkpoint(valkey):
        new = await say(app, "new", "--name", "wall", "--scopes", "read,control", *LIMITED, *config)
        assert new.exit_code == 0, new.output
        raw, key = made("wall", new.output)
        assert await KeyAdmin(valkey.client(), "pbx").all() == [key]
        listed = await say(app, "list", *config)
        for shown in (
            "wall",
            "control, read",
            "never",
            "queues 800, 801",
            "192.0.2.0/24",
            "600 reads, 0 makecall",
            "seconds",
        ):
            assert shown in listed.output
        assert raw not in listed.output
        twice = await say(app, "new", "--name", "wall", *config)
        assert isinstance(twice.exception, ConfigError)
        clash = await say(app, "new", "--name", "static", *config)
        assert "settings file" in str(clash.exception)
        assert (await say(app, "revoke", "wall", *config)).output == "Revoked wall.\n"
        assert "No key" in (await say(app, "list", *config)).output
        again = await say(app, "revoke", "wall", *config)
        assert "no key 'wall'" in str(again.exception)


async def test_a_key_for_several_pbxs_is_stored_with_the_first(
    valkey: RealBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = settings(tmp_path, valkey.url)
    text = path.read_text().replace('name = "static"', 'name = "static"\npbx = "pbx"')
    path.write_text('[[pbx]]\nname = "zoo"\n[[pbx]]\nname = "ant"\ntenant = "acme"\n' + text)
    app, config = keys.commands(run), ("--config", str(path))
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 0.1)
    async with checkpoint(valkey):
        for name, words in (("all", "*"), ("some", "pbx,tenant:acme,pbx")):
            new = await say(app, "new", "--name", name, "--pbx", words, *config)
            assert new.exit_code == 0, new.output
        assert "stored with ant: list and revoke it with --pbx ant." in new.output
        stored = {"ant": ("some", ["pbx", "tenant:acme"]), "zoo": ("all", ["*"])}
        for home, (kept, pbxs) in stored.items():
            table = AccessKeys(home).table
            assert await valkey.client().hkeys(table) == [kept.encode()]
            data = await valkey.client().hget(table, kept)
            assert isinstance(data, bytes)
            assert list(decode_key(data).pbxs) == pbxs
        for words in ("east,zoo", "tenant:nobody"):
            wrong = await say(app, "new", "--name", "x", "--pbx", words, *config)
            assert "known are: ant, pbx, zoo; tenants: acme." in str(wrong.exception)
        odd = await say(app, "new", "--name", "x", "--pbx", "zoo,East", *config)
        assert "'East' is not a PBX" in odd.output


async def test_without_a_monitor_it_is_said_that_nobody_keeps_the_key(
    valkey: RealBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.auth.key_admin.KEPT_WITHIN_S", 0.3)
    config = ("--config", str(settings(tmp_path, valkey.url)))
    new = await say(keys.commands(run), "new", "--name", "wall", *config)
    assert new.exit_code == 0
    assert "monitor of this PBX does not run" in new.output


def test_a_block_for_the_settings_file_holds_all_that_was_asked_for() -> None:
    words = [
        "new",
        "--name",
        "wall",
        "--pbx",
        "pbx",
        "--scopes",
        "control,read",
        *LIMITED,
        "--print-block",
    ]
    printed = CliRunner().invoke(keys.commands(run), words)
    raw, key = made("wall", printed.output)
    block = printed.output.partition("[[keys]]")
    assert raw not in "".join(block[1:])
    read = GatewaySettings(**tomllib.loads('[[pbx]]\nname = "pbx"\n' + "".join(block[1:])))
    assert read.keys[0].api_key() == key


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--scopes", "read,write"], "write: not a scope"),
        (["--networks", "192.0.2.1/24"], "has host bits set"),
        (["--name", ""], "1 to 100 printable characters"),
        (["--name", "x" * 101], "1 to 100 printable characters"),
        (["--name", "a\nb"], "1 to 100 printable characters"),
        (["--time", "minutes"], "Invalid value for '--time'"),
        (["--days", "0"], "Invalid value for '--days'"),
        (["--reads", "-1"], "Invalid value for '--reads'"),
    ],
)
def test_what_makes_no_sense_makes_no_key(words: list[str], why: str) -> None:
    refused = CliRunner().invoke(keys.commands(run), ["new", "--name", "wall", *words])
    assert refused.exit_code == 2
    assert why in re.sub(r"\s+", " ", refused.output.replace("│", ""))


@pytest.mark.parametrize("option", ["--extensions", "--queues", "--groups"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("abc", "'abc' is not a number; give numbers such as 800,801"),
        ("800,8o1", "'8o1' is not a number"),
        ("800;801", "'800;801' is not a number"),
        ("٣", "is not a number"),
        (",", "lists nothing; give numbers such as 800,801, or leave the option out"),
    ],
)
def test_a_key_is_limited_to_what_can_be_a_number(option: str, given: str, said: str) -> None:
    words = ["new", "--name", "wall", "--pbx", "pbx", option, given, "--print-block"]
    result = CliRunner(env={"COLUMNS": "300"}).invoke(keys.commands(run), words)
    assert result.exit_code == 2
    assert f"{option}" in result.output
    assert said in result.output
    assert "shown this once" not in result.output


@pytest.mark.parametrize("option", ["--networks", "--scopes"])
def test_an_option_that_lists_nothing_lifts_no_bound(option: str) -> None:
    words = ["new", "--name", "wall", "--pbx", "pbx", option, " , ", "--print-block"]
    result = CliRunner(env={"COLUMNS": "300"}).invoke(keys.commands(run), words)
    assert result.exit_code == 2
    assert f"{option} lists nothing" in result.output


def test_the_harness_of_faults_knows_what_is_said_of_a_key_that_no_monitor_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keys._say_if_not_kept(False)
    assert UNKEPT in capsys.readouterr().err
