"""Test that compose.yaml and the Caddyfile agree with the program, its settings and each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config import GatewaySettings
from monitor.config import MonitorSettings
from tests.deploy.commands import parsed
from tests.deploy.test_image import BY_DIGEST, ROOT
from tests.deploy.test_systemd import REQUESTS_END
from tests.proxies import caddy

DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "callmon.example.toml"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "callmon"}
STYLE = "{extends: default, rules: {line-length: {max: 120}}}"


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def settings(
    service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[MonitorSettings, GatewaySettings]:
    """The example's, with what the service's environment says."""
    for name, value in service["environment"].items():
        if not name.endswith("_FILE"):
            monkeypatch.setenv(name, value)
    return MonitorSettings.load(EXAMPLE), GatewaySettings.load(EXAMPLE)


def test_all_yaml_is_well_written() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", "-d", STYLE, DEPLOY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_images_of_others_are_named_by_their_digest_unless_another_is_given() -> None:
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    assert len(images) == 2
    for image in images:
        default = image.partition(":-")[2].removesuffix("}")
        assert image.startswith("${CALLMON_"), "another one may be given"
        assert BY_DIGEST.fullmatch(default), image


def test_there_are_two_monitors_and_two_gateways_that_can_be_told_apart() -> None:
    commands = [parsed(service["command"])[0] for service in OURS.values()]
    assert sorted(commands) == ["gateway", "gateway", "monitor", "monitor"]
    assert {service["hostname"] for service in OURS.values()} == set(OURS)
    volumes = [service["volumes"] for service in OURS.values() if "volumes" in service]
    assert len(volumes) == len({str(volume) for volume in volumes}) == 2


def test_commands_and_settings_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in OURS.values():
        _, options = parsed(service["command"])
        assert str(options["config"]) in [config["target"] for config in service["configs"]]
        settings(service, monkeypatch)


@pytest.mark.parametrize("name", OURS)
def test_secrets_are_where_they_are_looked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = OURS[name]
    monitor, _ = settings(service, monkeypatch)
    targets = {secret["target"] for secret in service["secrets"]}
    assert service["environment"]["CALLMON_REDIS__URL_FILE"] in {
        f"/run/secrets/{target}" for target in targets
    }
    secret = service["environment"].get("CALLMON_GATEWAY__TICKET_SECRET_FILE")
    assert secret == (None if "monitor" in name else "/run/secrets/tickets.secret")
    assert secret is None or Path(secret).name in targets
    if "monitor" in name:
        assert str(monitor.pbx[0].client_secret_file) in targets


def test_whatever_is_named_is_declared_and_whatever_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        named = [
            secret if isinstance(secret, str) else secret["source"]
            for secret in service.get("secrets", [])
        ]
        assert set(named) <= set(COMPOSE["secrets"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", [])) <= set(SERVICES)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (
                (DEPLOY / source).exists()
                if source.startswith("./")
                else source in COMPOSE["volumes"]
            )


def test_the_proxy_reaches_every_gateway_at_its_port_and_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateways = {
        name: service
        for name, service in OURS.items()
        if parsed(service["command"])[0] == "gateway"
    }
    proxied = dict(
        place.split(":") for place in SERVICES["proxy"]["environment"]["CALLMON_GATEWAYS"].split()
    )
    assert set(proxied) == set(gateways)
    for name, service in gateways.items():
        _, loaded = settings(service, monkeypatch)
        assert (loaded.gateway.host, str(loaded.gateway.port)) == ("0.0.0.0", proxied[name])
        assert set(service["networks"]) & set(SERVICES["proxy"]["networks"])
        assert loaded.gateway.forwarded_allow_ips in SERVICES, (
            "by name: no address of a private network is believed"
        )
        assert (
            seconds(service["stop_grace_period"])
            >= loaded.gateway.stream.drain_time + REQUESTS_END + 10
        )


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_take_all_memory(name: str) -> None:
    assert SERVICES[name]["mem_limit"].endswith(("m", "g"))


@pytest.mark.parametrize("name", SERVICES)
def test_everything_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert COMPOSE["networks"]["back"] == {"internal": True}


def test_redis_is_started_with_the_users_and_not_at_all_without_their_passwords(
    tmp_path: Path,
) -> None:
    """Run the service's own command in our directories, with a server that shows its arguments."""
    *shell, script = SERVICES["redis"]["command"]
    places = {"/acl/": f"{DEPLOY}/redis/", "/run/secrets": str(tmp_path), "/tmp/": f"{tmp_path}/"}
    script = re.sub("|".join(places), lambda found: places[found[0]], script)
    stub = tmp_path / "bin" / "redis-server"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\necho "started $*"\n')
    stub.chmod(0o755)
    environment = os.environ | {"PATH": f"{stub.parent}:{os.environ['PATH']}"}

    def started() -> str:
        return subprocess.run(
            [*shell, script], capture_output=True, text=True, check=False, env=environment
        ).stdout

    assert started() == ""
    subprocess.run([DEPLOY / "redis" / "new-passwords.sh", tmp_path, "redis:6379"], check=True)
    assert f"--aclfile {tmp_path}/users.acl" in started()
    assert (
        len(re.findall(r"on resetpass #[0-9a-f]{64} ", (tmp_path / "users.acl").read_text())) == 2
    )


def test_passwords_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    for host in ("redis:6379", "10.0.0.1:6379"):
        subprocess.run([DEPLOY / "redis" / "new-passwords.sh", tmp_path / "made", host], check=True)
    made = {file.name: file for file in (tmp_path / "made").iterdir()}
    password = made["monitor.password"].read_text()
    assert re.fullmatch(r"[0-9a-f]{48}", password)
    assert made["monitor.url"].read_text() == f"redis://monitor:{password}@10.0.0.1:6379/0\n"
    assert {file.stat().st_mode & 0o777 for file in made.values()} == {0o600}
    assert password not in made["gateway.url"].read_text()
    assert re.fullmatch(r"[0-9a-f]{64}", made["tickets.secret"].read_text())


def test_the_proxy_asks_whether_gateways_live_and_keeps_no_addresses() -> None:
    caddyfile = (DEPLOY / "caddy" / "Caddyfile").read_text()
    lines = [line.strip() for line in caddyfile.splitlines() if not line.strip().startswith("#")]
    assert "health_uri /healthz" in lines
    assert [line for line in lines if line.startswith("log")] == ["log {"]  # of failures
    assert "request delete" in lines
    assert not [line for line in lines if line.startswith("fail_duration")]
    assert "flush_interval -1" in lines
    assert 'header @named Strict-Transport-Security "max-age=31536000"' in lines


@pytest.mark.skipif(
    caddy() is None, reason="There is no caddy on this machine: the Caddyfile is not validated."
)
def test_caddy_understands_its_file(tmp_path: Path) -> None:
    environment = os.environ | {
        "HOME": str(tmp_path),
        "CALLMON_GATEWAYS": "127.0.0.1:1 127.0.0.1:2",
    }
    command = [
        caddy() or "",
        "validate",
        "--adapter",
        "caddyfile",
        "--config",
        str(DEPLOY / "caddy" / "Caddyfile"),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert said.returncode == 0, said.stderr
