"""Test that systemd understands the units, and that they are hardened and fit the program.

And the launcher that they start.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from monitor.shared.settings.loader import CREDENTIALS
from tests.deploy.commands import parsed
from tests.deploy.test_example_settings import DECLARED
from tests.deploy.units import SYSTEMD, UNITS, settings_of

DEPLOY = SYSTEMD.parent
LAUNCHER = DEPLOY / "callmon.sh"
REQUESTS_END = 5
"""Seconds that uvicorn gives to requests after the drain; see gateway/run.py."""

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None,
    reason="systemd-analyze is not installed: units are not verified",
)
both = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)


BACKS_OFF_SINCE = 254
UNKNOWN_BEFORE = re.compile(
    r"Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)' in section \S+, ignoring"
)


def systemd_version() -> int:
    return int(analyze("--version").stdout.split()[1])


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


@with_systemd
@both
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    installed = tmp_path / unit.name
    there = unit.read_text().replace("/usr/bin/callmon", str(LAUNCHER))
    there = there.replace(
        "/bin/kill", "/bin/true"
    )  # procps, on which the package depends, may be missing here
    installed.write_text(there, encoding="utf-8")
    said = analyze("verify", str(installed))
    complaints = (said.stdout + said.stderr).splitlines()
    if systemd_version() < BACKS_OFF_SINCE:
        complaints = [line for line in complaints if not UNKNOWN_BEFORE.search(line)]
    assert (said.returncode, complaints) == (0, [])


@both
def test_bad_settings_are_not_tried_again_and_other_failures_less_and_less_often(
    unit: Path,
) -> None:
    settings = settings_of(unit)
    assert settings["Restart"] == ["always"]
    assert settings["RestartPreventExitStatus"] == [str(os.EX_CONFIG)]
    assert settings["StartLimitIntervalSec"] == ["0"], (
        "a limit would end it for ever while something else is away"
    )
    first, longest = int(settings["RestartSec"][0]), int(settings["RestartMaxDelaySec"][0])
    assert 5 <= first < longest <= 60, "systemd 252 knows the first alone"
    assert int(settings["RestartSteps"][0]) > 1


@with_systemd
@both
def test_little_is_exposed(unit: Path) -> None:
    said = analyze(
        "security", "--offline=true", "--threshold=15", "--no-pager", str(unit)
    )  # 1.5 of 10
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
    loaded = [line.partition(":")[0] for line in settings["LoadCredential"]]
    named = [line.partition("=%d/")[2] for line in settings["Environment"] if "=%d/" in line]
    assert set(named) <= set(loaded), "each file that a variable names is loaded"
    assert named[0] == "redis-url"
    assert ("ticket-secret" in named) == ("gateway" in unit.name)
    assert settings["User"] == ["callmon"]
    assert "u callmon " in (SYSTEMD / "callmon.sysusers").read_text()


@both
def test_a_reload_is_the_signal_by_which_settings_are_read_again(unit: Path) -> None:
    (line,) = settings_of(unit)["ExecReload"]
    assert line == "/bin/kill -HUP $MAINPID"
    assert "procps" in (DEPLOY / "debian" / "control").read_text(encoding="utf-8"), (
        "it has /bin/kill"
    )


@both
def test_no_unit_may_take_all_memory(unit: Path) -> None:
    assert {name: settings_of(unit)[name] for name in ("MemoryHigh", "MemoryMax")} == {
        "MemoryHigh": ["1536M"],
        "MemoryMax": ["2G"],
    }


def test_the_gateway_has_time_to_drain() -> None:
    settings = settings_of(UNITS["gateway"])
    drain = GatewaySettings.load(DEPLOY / "callmon.example.toml").gateway.stream.drain_time
    assert settings["KillSignal"] == ["SIGTERM"]
    assert int(settings["TimeoutStopSec"][0]) >= drain + REQUESTS_END + 10


def test_the_example_settings_find_the_monitors_credentials_and_directory() -> None:
    settings, unit = MonitorSettings.load(DEPLOY / "callmon.example.toml"), UNITS["monitor"]
    credentials = dict(value.split(":", 1) for value in settings_of(unit)["LoadCredential"])
    secret = settings.pbx[0].client_secret_file
    assert secret is not None
    assert secret.parent == Path("/run/credentials") / unit.name == CREDENTIALS
    assert secret.name.partition("_")[0] in credentials
    assert credentials["pbx"] == "/etc/callmon/pbx", (
        "secret_in reads there what systemd does not show"
    )
    assert settings.monitor.state_dir == Path("/var/lib") / settings_of(unit)["StateDirectory"][0]
    hidden = settings_of(UNITS["gateway"])["InaccessiblePaths"]
    assert hidden == [f"-{settings.monitor.state_dir}"], "both units have one user"


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
    shutil.which("shellcheck") is None,
    reason="shellcheck is not installed: scripts are not read by it",
)
def test_shellcheck_has_nothing_against_the_scripts() -> None:
    scripts = [
        *DEPLOY.glob("*.sh"),
        *DEPLOY.glob("redis/*.sh"),
        *DEPLOY.glob("debian/*.sh"),
        *DEPLOY.glob("debian/p*"),
    ]
    said = subprocess.run(
        ["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout) == (0, "")
    assert len(scripts) > 8


# the launcher


def home(directory: Path, script: str) -> dict[str, str]:
    """Return an environment whose launcher starts ``script`` for callmon and finds no settings."""
    program = directory / "bin" / "callmon"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CALLMON_")}
    return clean | {"CALLMON_HOME": str(directory), "CALLMON_ETC": str(directory / "etc")}


def launched(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAUNCHER, *arguments], capture_output=True, text=True, env=environment, check=False
    )


FILES = [place for place in DECLARED if place.endswith("_file")]
SHOW = """import os, sys
given = ("CALLMON_CONFIG", "CALLMON_REDIS__URL", "CALLMON_REDIS__URL_FILE")
print(sys.argv[1:], [os.environ.get(name) for name in given])"""


def test_a_setting_is_taken_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "a secret"
    secret.write_text("redis://monitor:p$w'd@redis/0\n", encoding="utf-8")
    environment = home(tmp_path, SHOW) | {"CALLMON_REDIS__URL_FILE": str(secret)}
    said = launched(environment, "monitor", "--config", "a b.toml")
    assert (
        said.stdout
        == f"{['monitor', '--config', 'a b.toml']} {[None, secret.read_text().strip(), None]}\n"
    )


@pytest.mark.parametrize("place", FILES)
def test_a_setting_that_is_a_file_stays_one(tmp_path: Path, place: str) -> None:
    name = "CALLMON_" + place.replace("pbx.", "pbx.0.").replace(".", "__").upper()
    program = f"import os; print(os.environ[{name!r}])"
    said = launched(home(tmp_path, program) | {name: "/there"}, "monitor")
    assert (said.stdout, said.stderr) == ("/there\n", "")


def test_a_file_that_cannot_be_read_is_said_and_nothing_started(tmp_path: Path) -> None:
    environment = home(tmp_path, SHOW) | {"CALLMON_REDIS__URL_FILE": str(tmp_path / "none")}
    said = launched(environment, "monitor")
    assert (said.returncode, said.stdout) == (os.EX_CONFIG, "")
    assert "No such file" in said.stderr
    assert "CALLMON_REDIS__URL_FILE must name a file that this user can read" in said.stderr


def test_status_is_content_with_the_gateways_address(tmp_path: Path) -> None:
    environment = home(tmp_path, SHOW)
    (tmp_path / "etc" / "redis").mkdir(parents=True)
    (tmp_path / "etc" / "redis" / "gateway.url").write_text("redis://there/0\n", encoding="utf-8")
    assert "redis://there/0" in launched(environment, "status", "--json").stdout
    assert "redis://there/0" not in launched(environment, "key", "list").stdout
    (tmp_path / "etc" / "redis" / "monitor.url").write_text("redis://here/0\n", encoding="utf-8")
    assert "redis://here/0" in launched(environment, "status", "--json").stdout


def test_an_administrator_needs_not_name_the_settings(tmp_path: Path) -> None:
    """The program finds the file by itself, and the launcher Redis' address."""
    environment = home(tmp_path, SHOW)
    (tmp_path / "etc" / "redis").mkdir(parents=True)
    (tmp_path / "etc" / "callmon.toml").touch()
    (tmp_path / "etc" / "redis" / "monitor.url").write_text("redis://here/0\n", encoding="utf-8")
    assert launched(environment, "check").stdout == f"['check'] {[None, 'redis://here/0', None]}\n"
    (tmp_path / "etc" / "redis" / "gateway.url").write_text("redis://there/0\n", encoding="utf-8")
    asked = ["check", "--gateway"]
    assert launched(environment, *asked).stdout == f"{asked} {[None, 'redis://there/0', None]}\n"
    assert "redis://here/0" in launched(environment, "key", "--gateway").stdout
    told = launched(environment | {"CALLMON_CONFIG": "x", "CALLMON_REDIS__URL": "y"}, "check")
    assert told.stdout == f"['check'] {['x', 'y', None]}\n"


@pytest.mark.parametrize("option", [["--config", "{}"], ["-c", "{}"], ["--config={}"]])
def test_redis_of_the_system_goes_with_the_systems_settings_alone(
    tmp_path: Path, option: list[str]
) -> None:
    environment = home(tmp_path, SHOW)
    system, other = tmp_path / "etc" / "callmon.toml", tmp_path / "callmon.toml"
    (tmp_path / "etc" / "redis").mkdir(parents=True)
    (tmp_path / "etc" / "redis" / "monitor.url").write_text("redis://here/0\n", encoding="utf-8")
    for file in (system, other):
        file.touch()
        said = launched(environment, "check", *(part.format(file) for part in option)).stdout
        assert ("redis://here/0" in said) is (file is system)
        said = launched(environment | {"CALLMON_CONFIG": str(file)}, "check").stdout
        assert ("redis://here/0" in said) is (file is system)


def test_launcher_and_program_look_into_the_same_directory(tmp_path: Path) -> None:
    """Run launcher and program with settings and Redis' address in /etc/callmon, as users do."""
    etc = tmp_path / "etc"
    (etc / "redis").mkdir(parents=True)
    (etc / "callmon.toml").touch()
    (etc / "redis" / "gateway.url").write_text("redis://127.0.0.1:1/0\n", encoding="utf-8")
    program = "from gateway.cli import main\nmain()"
    said = launched(home(tmp_path, program), "check", "--gateway")
    read = (
        f"ok    settings: {etc / 'callmon.toml'} is read; from the environment: CALLMON_REDIS__URL"
    )
    assert said.stdout.splitlines()[0] == read, said.stderr


@pytest.mark.parametrize("closed", ["file", "directory"])
def test_who_may_not_read_the_password_of_redis_is_told_so_and_redis_is_not_blamed(
    closed: str,
) -> None:
    with tempfile.TemporaryDirectory(
        prefix="callmon-launcher-"
    ) as made:  # pytest's own are closed to other users
        directory = Path(made)
        environment = home(directory, SHOW)
        launcher, redis = directory / "callmon", directory / "etc" / "redis"
        shutil.copy(LAUNCHER, launcher)
        redis.mkdir(parents=True)
        (redis / "monitor.url").write_text("redis://here/0\n", encoding="utf-8")
        (redis / "monitor.url" if closed == "file" else redis).chmod(0)
        directory.chmod(0o755)

        def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
            command, user = [str(launcher), *arguments], 65_534 if os.geteuid() == 0 else None
            given = environment | {"CALLMON_HOME": "/nowhere"} | more
            return subprocess.run(
                command, capture_output=True, text=True, env=given, check=False, user=user
            )

        for command in ("check", "key list", "record x", "monitor", "status"):
            said = run(*command.split())
            assert said.stderr == (
                f"callmon: this user cannot read {redis}/monitor.url; use sudo: sudo "
                f"callmon {command}\n"
            )
            assert said.returncode == 1
        for other in (
            run("tail"),
            run("check", "--config", "mine.toml"),
            run("check", CALLMON_REDIS__URL="redis://x"),
        ):
            assert "sudo" not in other.stderr, "that has a url of its own, or needs none"
        redis.chmod(0o700)


def test_the_launcher_becomes_the_program_so_that_systemd_knows_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [LAUNCHER, "monitor"],
        stdout=subprocess.PIPE,
        text=True,
        env=home(tmp_path, "import os; print(os.getpid())"),
    )
    out, _ = process.communicate()
    assert int(out) == process.pid
