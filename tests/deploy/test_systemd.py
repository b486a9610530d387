"""The units: understood by systemd, hardened, and in step with the program; and the launcher that they start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from monitor.settings import CREDENTIALS
from tests.deploy.commands import parsed
from tests.deploy.units import SYSTEMD, UNITS, settings_of

DEPLOY = SYSTEMD.parent
LAUNCHER = DEPLOY / "callmon.sh"
REQUESTS_END = 5
"""Seconds that uvicorn gives to requests after the drain; see gateway/run.py."""

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: units are not verified"
)
both = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@with_systemd
@both
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    installed = tmp_path / unit.name
    installed.write_text(unit.read_text().replace("/usr/bin/callmon", str(LAUNCHER)), encoding="utf-8")
    said = analyze("verify", str(installed))
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@with_systemd
@both
def test_little_is_exposed(unit: Path) -> None:
    said = analyze("security", "--offline=true", "--threshold=15", "--no-pager", str(unit))  # 1.5 of 10
    assert said.returncode == 0, said.stdout


@both
def test_each_unit_starts_its_own_command(unit: Path) -> None:
    (line,) = settings_of(unit)["ExecStart"]
    program, *arguments = line.split()
    name, options = parsed(arguments)
    assert program == "/usr/bin/callmon"
    assert unit.name == f"callmon-{name}.service"
    assert options["config"] == Path("/etc/callmon/callmon.toml")


@both
def test_readiness_and_watchdog_are_asked_for_and_secrets_loaded(unit: Path) -> None:
    settings = settings_of(unit)
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) > 0
    assert "CALLMON_REDIS__URL_FILE=%d/redis-url" in settings["Environment"]
    assert settings["LoadCredential"][0].startswith("redis-url:")
    assert settings["User"] == ["callmon"]
    assert "u callmon " in (SYSTEMD / "callmon.sysusers").read_text()


@both
def test_no_unit_may_take_all_memory(unit: Path) -> None:
    assert {name: settings_of(unit)[name] for name in ("MemoryHigh", "MemoryMax")} == {
        "MemoryHigh": ["1536M"],
        "MemoryMax": ["2G"],
    }


def test_the_gateway_has_time_to_drain() -> None:
    settings = settings_of(UNITS["gateway"])
    drain = GatewaySettings.load(DEPLOY / "callmon.example.toml").gateway.stream.drain
    assert settings["KillSignal"] == ["SIGTERM"]
    assert int(settings["TimeoutStopSec"][0]) >= drain + REQUESTS_END + 10


def test_the_example_settings_find_the_monitors_credentials_and_directory() -> None:
    settings, unit = MonitorSettings.load(DEPLOY / "callmon.example.toml"), UNITS["monitor"]
    credentials = dict(value.split(":", 1) for value in settings_of(unit)["LoadCredential"])
    secret = settings.pbx[0].client_secret_file
    assert secret is not None
    assert secret.parent == Path("/run/credentials") / unit.name == CREDENTIALS
    assert secret.name.partition("_")[0] in credentials
    assert credentials["pbx"] == "/etc/callmon/pbx", "secret_in reads there what systemd does not show"
    assert settings.monitor.state_dir == Path("/var/lib") / settings_of(unit)["StateDirectory"][0]


@both
def test_a_program_that_hangs_is_ended_with_a_word_on_what_it_was_at(unit: Path) -> None:
    settings = settings_of(unit)
    assert settings["WatchdogSignal"] == ["SIGABRT"]
    given = dict(pair.split("=", 1) for pair in settings["Environment"])
    script = "def hangs():\n print('hangs', flush=True)\n while True: pass\nhangs()"
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | given,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGABRT)
        _, err = process.communicate()
    assert "in hangs" in err


@pytest.mark.skipif(
    shutil.which("shellcheck") is None, reason="shellcheck is not installed: scripts are not read by it"
)
def test_shellcheck_has_nothing_against_the_scripts() -> None:
    scripts = [*DEPLOY.glob("*.sh"), *DEPLOY.glob("redis/*.sh"), *DEPLOY.glob("debian/*.sh"), *DEPLOY.glob("debian/p*")]
    said = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "")
    assert len(scripts) > 8


# the launcher


def home(directory: Path, script: str) -> dict[str, str]:
    """An environment in which the launcher starts ``script`` in place of callmon, and finds no settings."""
    program = directory / "bin" / "callmon"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CALLMON_")}
    return clean | {"CALLMON_HOME": str(directory), "CALLMON_ETC": str(directory / "etc")}


def launched(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LAUNCHER, *arguments], capture_output=True, text=True, env=environment, check=False)


SHOW = """import os, sys
given = ("CALLMON_CONFIG", "CALLMON_REDIS__URL", "CALLMON_REDIS__URL_FILE")
print(sys.argv[1:], [os.environ.get(name) for name in given])"""


def test_a_setting_is_taken_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "a secret"
    secret.write_text("redis://monitor:p$w'd@redis/0\n", encoding="utf-8")
    environment = home(tmp_path, SHOW) | {"CALLMON_REDIS__URL_FILE": str(secret)}
    said = launched(environment, "monitor", "--config", "a b.toml")
    assert said.stdout == f"{['monitor', '--config', 'a b.toml']} {[None, secret.read_text().strip(), None]}\n"


def test_a_file_that_cannot_be_read_is_said_and_nothing_started(tmp_path: Path) -> None:
    environment = home(tmp_path, SHOW) | {"CALLMON_REDIS__URL_FILE": str(tmp_path / "none")}
    said = launched(environment, "monitor")
    assert (said.returncode, said.stdout) == (1, "")
    assert "No such file" in said.stderr


def test_an_administrator_needs_not_name_the_settings(tmp_path: Path) -> None:
    environment = home(tmp_path, SHOW)
    (tmp_path / "etc" / "redis").mkdir(parents=True)
    (tmp_path / "etc" / "callmon.toml").touch()
    (tmp_path / "etc" / "redis" / "monitor.url").write_text("redis://here/0\n", encoding="utf-8")
    config = str(tmp_path / "etc" / "callmon.toml")
    assert launched(environment, "check").stdout == f"['check'] {[config, 'redis://here/0', None]}\n"
    (tmp_path / "etc" / "redis" / "gateway.url").write_text("redis://there/0\n", encoding="utf-8")
    asked = ["check", "--gateway"]
    assert launched(environment, *asked).stdout == f"{asked} {[config, 'redis://there/0', None]}\n"
    assert "redis://here/0" in launched(environment, "key", "--gateway").stdout
    told = launched(environment | {"CALLMON_CONFIG": "x", "CALLMON_REDIS__URL": "y"}, "check")
    assert told.stdout == f"['check'] {['x', 'y', None]}\n"


def test_the_launcher_becomes_the_program_so_that_systemd_knows_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [LAUNCHER, "monitor"], stdout=subprocess.PIPE, text=True, env=home(tmp_path, "import os; print(os.getpid())")
    )
    out, _ = process.communicate()
    assert int(out) == process.pid
