"""Test that deploy/grafana and deploy/prometheus use existing metrics in a form both accept."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import yaml

from monitor.config import MonitorSettings
from tests.deploy.test_example_settings import example
from tests.deploy.test_image import ROOT
from tests.observed import Scrape, a_day, observed

PROMETHEUS = ROOT / "deploy" / "prometheus"
CONFIG: dict[str, Any] = yaml.safe_load(
    (PROMETHEUS / "prometheus.example.yml").read_text(encoding="utf-8")
)
ALERTS: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD: dict[str, Any] = json.loads(
    (ROOT / "deploy" / "grafana" / "callmon.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
QUERIES = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{f"{title}, {target['refId']}": target["expr"] for title, target in TARGETS},
}
_PROMTOOL = shutil.which("promtool")
_DURATION = re.compile(r"\d+(ms|s|m|h|d|w|y)")
_SELECTOR = re.compile(r"\b((?:callmon|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
_FUNCTIONS = {
    *(
        "abs",
        "absent",
        "and",
        "by",
        "histogram_quantile",
        "increase",
        "max",
        "min",
        "or",
        "rate",
        "sum",
        "time",
    ),
    "without",
}
_OF_THE_SCRAPE = {"instance", "job", "le"}


@pytest.fixture(scope="module")
def scraped() -> dict[str, Scrape]:
    """What both programs say after a bit of everything."""

    async def scrape() -> dict[str, Scrape]:
        async with observed() as site:
            await a_day(site)
            return {program: await site.scrape(program) for program in site.addresses}

    return asyncio.run(scrape())


def names(scrapes: dict[str, Scrape]) -> set[str]:
    """Of all samples, those of families included that have none yet."""
    found: set[str] = set()
    for scrape in scrapes.values():
        found |= scrape.names
        for family in scrape.families.values():
            endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(
                family.type, [""]
            )
            found |= {family.name + ending for ending in endings}
    return found


def label_names(scrapes: dict[str, Scrape], metric: str) -> set[str]:
    return {
        label
        for scrape in scrapes.values()
        for family in scrape.families.values()
        for sample in family.samples
        if sample.name == metric
        for label in sample.labels
    }


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_speaks_of_metrics_and_labels_that_there_are(
    where: str, scraped: dict[str, Scrape]
) -> None:
    known, used = names(scraped), _SELECTOR.findall(QUERIES[where])
    assert used or "up{" in QUERIES[where]
    grouped = {
        label.strip() for group in _GROUPED.findall(QUERIES[where]) for label in group.split(",")
    }
    for metric, matchers in used:
        assert metric in known, f"{where}: there is no {metric}"
        labels = label_names(scraped, metric)
        asked = set(re.findall(r"(\w+)\s*[=!]", matchers)) - _OF_THE_SCRAPE
        if labels:
            assert asked <= labels, f"{where}: {metric} has no {asked - labels}"
    every = {label for metric, _ in used for label in label_names(scraped, metric)} | _OF_THE_SCRAPE
    if any(label_names(scraped, metric) for metric, _ in used):
        assert grouped <= every, f"{where}: nothing is grouped by {grouped - every}"


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_is_well_formed(where: str) -> None:
    query = QUERIES[where]
    for opened, closed in ("()", "{}", "[]"):
        assert query.count(opened) == query.count(closed)
    bare = _SELECTOR.sub("", re.sub(r'"[^"]*"|\[[^\]]*\]|\{[^}]*\}', "", query))
    bare = _GROUPED.sub("", bare)
    assert set(re.findall(r"[a-z_]{2,}", bare)) - {"up"} <= _FUNCTIONS
    for counter in re.findall(r"(\w+_total)\b", query):
        assert re.search(rf"(rate|increase)\({counter}", query), (
            f"{where}: {counter} only ever grows"
        )


def test_of_everything_that_is_told_something_is_shown(scraped: dict[str, Scrape]) -> None:
    """Check the metrics of latency, staleness, the PBX's interface, commands and the queues."""
    shown = {metric for query in QUERIES.values() for metric, _ in _SELECTOR.findall(query)}
    ours = {name for name in names(scraped) if name.startswith("callmon_")}
    assert len(shown & ours) > 45


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    alerts = [rule["alert"] for rule in RULES]
    assert len(alerts) == len(set(alerts)) > 8
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Callmon[A-Z]\w+", rule["alert"])
        assert _DURATION.fullmatch(rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert len(rule["annotations"]["description"]) > 60
        for text in rule["annotations"].values():
            used = set(re.findall(r"\{\{ \$labels\.(\w+) \}\}", text))
            assert text.count("{{") == text.count("}}")
            grouped = {
                label.strip()
                for group in _GROUPED.findall(rule["expr"])
                for label in group.split(",")
            }
            assert used <= (grouped or {"pbx", "instance", "job"})


def test_prometheus_reads_both_programs_where_the_example_settings_have_them() -> None:
    assert [(PROMETHEUS / file).is_file() for file in CONFIG["rule_files"]] == [True]
    jobs = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in CONFIG["scrape_configs"]
    }
    assert set(jobs) == {"callmon-monitor", "callmon-gateway"}
    for program in ("monitor", "gateway"):
        port = example()[f"metrics.{program}_port"].value
        assert {target.rpartition(":")[2] for target in jobs[f"callmon-{program}"]} == {str(port)}
    assert MonitorSettings().metrics.host == "127.0.0.1"
    assert MonitorSettings().metrics.monitor_port is MonitorSettings().metrics.gateway_port is None


def test_the_dashboard_is_one_that_grafana_10_takes() -> None:
    assert DASHBOARD["schemaVersion"] >= 38
    assert DASHBOARD["uid"] == "callmon"
    assert "id" not in DASHBOARD
    assert "__inputs" not in DASHBOARD
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["pbx"]["definition"] == variables["pbx"]["query"]["query"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        assert panel["type"] in ("stat", "timeseries", "table")
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
    for _, target in TARGETS:
        assert target["datasource"]["uid"] == "${datasource}"
        for variable in re.findall(r"\$(\w+)", target["expr"]):
            assert variable in {*variables, "__rate_interval"}


def test_no_panel_covers_another() -> None:
    def cells(panel: dict[str, Any]) -> Iterator[tuple[int, int]]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        return (
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        )

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not set(cells(one)) & set(cells(other)), f"{one['title']} and {other['title']}"


with_promtool = pytest.mark.skipif(
    _PROMTOOL is None, reason="promtool is not on PATH: Prometheus' own opinion is not asked"
)


@with_promtool
@pytest.mark.parametrize("program", ["monitor", "gateway"])
def test_promtool_has_nothing_against_what_is_told(
    program: str, scraped: dict[str, Scrape]
) -> None:
    command, text = [str(_PROMTOOL), "check", "metrics"], scraped[program].text
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


@with_promtool
@pytest.mark.parametrize("check", [("config", "prometheus.example.yml"), ("rules", "alerts.yml")])
def test_promtool_takes_it(check: tuple[str, str]) -> None:
    command = [str(_PROMTOOL), "check", check[0], str(PROMETHEUS / check[1])]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
