"""Prove with Prometheus that each alert of alerts.yml fires at its trouble, alone.

None on a quiet day.

The series are as both programs give them; tests/deploy/test_observability.py sees to it that they
are called so.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.test_observability import PROMETHEUS, RULES

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not on PATH: Prometheus' own opinion is not asked",
)
QUIET = {
    'up{job="callmon-monitor", instance="a:9765"}': "1x240",
    'up{job="callmon-gateway", instance="a:9775"}': "1x240",
    'callmon_monitor_leads{pbx="main", instance="a:9765"}': "1x240",
    'callmon_monitor_leads{pbx="main", instance="b:9765"}': "0x240",
    'callmon_pbx_connected{pbx="main", instance="a:9765"}': "1x240",
    'callmon_pbx_connected{pbx="main", instance="b:9765"}': "0x240",
    'callmon_gateway_stale{pbx="main", space="live", instance="a:9775"}': "0x240",
    'callmon_gateway_delivery_seconds_bucket{pbx="main", space="live", way="written", '
    'le="0.1"}': "0+150x240",
    'callmon_gateway_delivery_seconds_bucket{pbx="main", space="live", way="written", '
    'le="2.5"}': "0+150x240",
    'callmon_gateway_delivery_seconds_bucket{pbx="main", space="live", way="written", '
    'le="+Inf"}': "0+150x240",
    'callmon_pbx_tokens_total{pbx="main", event="revoked", instance="a:9765"}': "1x240",
    'callmon_gateway_stuck_subscribers{pbx="main", instance="a:9775"}': "0x240",
    'callmon_gateway_snapshots_total{pbx="main", reason="log", instance="a:9775"}': "3x240",
    'callmon_gateway_outcomes_unknown_total{instance="a:9775"}': "2x240",
    'callmon_monitor_audit_entries_total{result="lost", instance="a:9765"}': "0x240",
    'callmon_monitor_standbys{pbx="main", state="behind", instance="a:9765"}': "0x240",
    'callmon_monitor_store_writable{instance="a:9765"}': "1x240",
    'callmon_pbx_certificate_expiry_timestamp_seconds{pbx="main", '
    'instance="a:9765"}': "8640000x240",
    'callmon_pbx_clock_offset_seconds{pbx="main", instance="a:9765"}': "-0.4x240",
}
"""An hour's series, every 15 seconds a value, as promtool writes them."""
LOST_LEADER = {series: "0x240" for series in QUIET if series.startswith("callmon_monitor_leads")}
TROUBLE: dict[str, dict[str, str]] = {
    "CallmonPbxLost": {
        series: "0x240" for series in QUIET if series.startswith("callmon_pbx_connected")
    },
    "CallmonNoLeader": LOST_LEADER,
    "CallmonTwoLeaders": {'callmon_monitor_leads{pbx="main", instance="b:9765"}': "1x240"},
    "CallmonDown": {'up{job="callmon-gateway", instance="a:9775"}': "0x240"},
    "CallmonGatewayStale": {
        'callmon_gateway_stale{pbx="main", space="live", instance="a:9775"}': "1x240"
    },
    "CallmonLate": {
        'callmon_gateway_delivery_seconds_bucket{pbx="main", space="live", way="written", '
        'le="0.1"}': "0+100x240"
    },
    "CallmonTokensRevoked": {
        'callmon_pbx_tokens_total{pbx="main", event="revoked", instance="a:9765"}': "0+1x240"
    },
    "CallmonClientsStuck": {
        'callmon_gateway_stuck_subscribers{pbx="main", instance="a:9775"}': "3x240"
    },
    "CallmonLogTooShort": {
        'callmon_gateway_snapshots_total{pbx="main", reason="log", instance="a:9775"}': "0+1x240"
    },
    "CallmonOutcomeUnknown": {
        'callmon_gateway_outcomes_unknown_total{instance="a:9775"}': "2x200 3x40"
    },
    "CallmonAuditLost": {
        'callmon_monitor_audit_entries_total{result="lost", instance="a:9765"}': "0x200 1x40"
    },
    "CallmonStoreNotWritable": {'callmon_monitor_store_writable{instance="a:9765"}': "0x240"},
    "CallmonStandbyBehind": {
        'callmon_monitor_standbys{pbx="main", state="behind", instance="a:9765"}': "1x240"
    },
    "CallmonCertificateEnds": {
        'callmon_pbx_certificate_expiry_timestamp_seconds{pbx="main", '
        'instance="a:9765"}': "1000000x240"
    },
    "CallmonClockOff": {
        'callmon_pbx_clock_offset_seconds{pbx="main", instance="a:9765"}': "-40x240"
    },
    "CallmonQueueFiguresDiffer": {
        'callmon_queue_figures_difference{pbx="main", queue="800", name="Sales", '
        'figure="answered", instance="a:9765"}': "2x240"
    },
}


def firing(series: dict[str, str], expected: list[str], folder: Path) -> None:
    """Let promtool play an hour, or more where an alert waits so long.

    At its end just these fire.
    """
    at_the_end = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": "61m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected],
    }
    long = {
        name: f"{values.rpartition('x')[0]}x{int(values.rpartition('x')[2]) + 10}"
        for name, values in series.items()
    }
    played = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in long.items()],
        "promql_expr_test": [at_the_end],
    }
    tests = {
        "rule_files": [str(PROMETHEUS / "alerts.yml")],
        "evaluation_interval": "15s",
        "tests": [played],
    }
    file = folder / "play.json"
    file.write_text(json.dumps(tests), encoding="utf-8")  # which is YAML
    said = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_on_a_quiet_day_nobody_is_told_anything(tmp_path: Path) -> None:
    firing(QUIET, [], tmp_path)


@pytest.mark.parametrize("alert", TROUBLE)
def test_each_trouble_is_told_by_its_own_name(alert: str, tmp_path: Path) -> None:
    firing(QUIET | TROUBLE[alert], [alert], tmp_path)


def test_with_no_monitor_at_all_there_is_no_leader(tmp_path: Path) -> None:
    left = {
        series: values
        for series, values in QUIET.items()
        if not series.startswith("callmon_monitor_leads")
    }
    firing(left, ["CallmonNoLeader"], tmp_path)


def test_each_alert_has_its_trouble() -> None:
    assert set(TROUBLE) == {rule["alert"] for rule in RULES}
