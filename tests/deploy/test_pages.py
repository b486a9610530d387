"""Test that the README and the pages in deploy/ name existing commands, files and settings."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import httpx
import pytest

from gateway.cli.demo import DEMO_KEY
from gateway.fanout.filters import FIELDS
from gateway.scopes import Scope
from gateway.web.human_pages import FROM_DEPLOY
from monitor.config import MonitorSettings
from monitor.shared.entities.topics import BOOK_TOPICS, TOPICS
from tests.bench import report as benchmarks
from tests.bench.report import Figure
from tests.bus import until_async
from tests.deploy.commands import parsed
from tests.deploy.test_image import ROOT
from tests.deploy.test_reference import COMMANDS as REFERENCED
from tests.gateway.cli.console import WITHIN, running

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "deploy").glob("*.md")), ROOT / "SECURITY.md"]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}
OURS = sorted(TEXTS.keys() - {"deploy/README.md", "deploy/recording.md"})
"""The pages whose commands are looked at here; the others' are in test_readme."""
LOCAL = "http://127.0.0.1:8765"


def blocks(name: str, *languages: str) -> list[str]:
    """Return the page's blocks of code in these languages."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```", TEXTS[name], re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def pasted() -> Iterator[str]:
    """Yield the arguments of each command of callmon that can be pasted."""
    for name in OURS:
        for line in (
            line.strip() for block in blocks(name, "", "sh") for line in block.splitlines()
        ):
            if found := re.fullmatch(r"(?:sudo )?(?:\.venv/bin/)?callmon (.+)", line):
                yield found[1]
        yield from (
            f"demo {found}"
            for found in re.findall(r"make demo ARGS=\"?([^\"`]+)[\"`]", TEXTS[name])
        )


COMMANDS = sorted(set(pasted()))


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    parsed(shlex.split(line))


def test_what_sentences_say_of_commands_there_is() -> None:
    texts = "\n".join(TEXTS.values())
    mentioned = set(re.findall(r"`(?:sudo )?(?:\.venv/bin/)?callmon ([a-z][^`|]*)`", texts))
    assert len(mentioned) > 10
    for said in mentioned:
        words = [word for word in said.split() if re.fullmatch("[a-z]+", word)]
        paths = [" ".join(["callmon", *words[:depth]]) for depth in (2, 1)]
        command = next((REFERENCED[path] for path in paths if path in REFERENCED), None)
        assert command is not None, said
        options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", said)) <= options, said


def test_the_commands_were_looked_at() -> None:
    first = {line.split()[0] for line in COMMANDS}
    assert {
        "demo",
        "check",
        "monitor",
        "gateway",
        "key",
        "status",
        "tail",
        "audit",
        "backup",
    } <= first


def test_what_make_is_asked_for_it_can_do() -> None:
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = {
        name
        for text in TEXTS.values()
        for name in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test", "unit", "bench", "soak"} <= named
    assert named - targets == set()


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name]):
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.is_file(), target
        headings = (
            re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            if anchor
            else []
        )
        assert not anchor or anchor in {
            re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings
        }
        assert file == "" or name == "README.md" or (ROOT / name).parent == path.parent, (
            "packages have no other folder"
        )


def test_files_that_are_named_are_there() -> None:
    named = {
        (name, path)
        for name in TEXTS
        for path in re.findall(r"`((?:monitor|gateway|tests|deploy)/[^\s`]*)`", TEXTS[name])
    }
    assert len(named) > 80
    files = {(name, path.partition("::")[0]) for name, path in named}
    assert [(name, path) for name, path in sorted(files) if not (ROOT / path).exists()] == []


def test_files_beside_others_are_there() -> None:
    beside = re.findall(
        r"`((?:monitor|gateway)/[\w/]+)/\w+\.py`[^`]*`(\w+\.py)` beside", TEXTS["README.md"]
    )
    assert len(beside) == 2
    assert all((ROOT / folder / name).is_file() for folder, name in beside)


def test_the_readme_stays_short() -> None:
    lines = TEXTS["README.md"].splitlines()
    assert len(lines) <= 130
    assert [line for line in lines if len(line) > 150] == []


def test_the_picture_is_small_and_the_pages_bring_what_they_show_of_deploy() -> None:
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXTS["README.md"])
    assert 10_000 < (ROOT / picture).stat().st_size < 120_000
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]
    wheel = hatch["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["monitor", "gateway"]
    assert wheel["force-include"] == {
        f"deploy/{source}": f"gateway/static/{name}" for name, source in FROM_DEPLOY.items()
    }
    assert picture in wheel["force-include"]
    image = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert all(source in image for source in wheel["force-include"])


@pytest.mark.parametrize("name", ["README.md", "deploy/connect.md"])
def test_the_settings_are_understood(name: str) -> None:
    settings = [
        MonitorSettings.model_validate(tomllib.loads(_dedented(text)))
        for text in blocks(name, "toml")
    ]
    assert [each.pbx[0].name for each in settings] == ["main"]


def test_the_settings_of_the_database_are_understood() -> None:
    (pbx,), (database,) = blocks("deploy/connect.md", "toml"), blocks("deploy/sql.md", "toml")
    settings = MonitorSettings.model_validate(tomllib.loads(pbx + _dedented(database)))
    assert settings.pbx[0].database is not None


def test_the_stream_is_described_whole() -> None:
    page = TEXTS["deploy/stream.md"]
    assert [name for name in (*TOPICS, *BOOK_TOPICS, *FIELDS) if f"`{name}`" not in page] == []


def test_every_scope_is_described() -> None:
    named = re.findall(r"^\| `(\w+)` \|", TEXTS["deploy/rest.md"], re.MULTILINE)
    assert named == list(get_args(Scope))


def test_what_the_page_on_capacity_reckons_can_be_repeated() -> None:
    """Its figures are those of the benchmarks, and its program prints what stands below it."""
    (program,), (told,) = (blocks("deploy/capacity.md", each) for each in ("python", "text"))
    measured = re.findall(r"^\w+ = ([\d_.]+)  # ([\w-]+): (.+)$", program, re.MULTILINE)
    assert len(measured) >= 10
    for number, section, row in measured:
        found = Figure(section, row).find(benchmarks.load())
        assert found is not None, row
        figures = re.findall(r"[\d.]+", found.figure.replace(",", ""))
        assert number.replace("_", "") in figures, (row, found.figure)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert ran.stdout.decode() == told


async def _is_ready(http: httpx.AsyncClient, address: str) -> bool:
    return (await http.get(f"{address}/readyz")).status_code == 200


async def test_what_can_be_pasted_works_with_the_demo(tmp_path: Path) -> None:
    """The Python programs print changes; each address with the demo's key is answered."""
    programs = [
        (name, text)
        for name in ("README.md", "deploy/stream.md")
        for text in blocks(name, "python")
    ]
    addresses = {
        address
        for text in TEXTS.values()
        for address in re.findall(rf"{LOCAL}/(?:webapi/{DEMO_KEY}/|docs)[^\s'\"`]*", text)
    }
    assert (len(programs), len(addresses) > 5) == (2, True)
    demo = ("demo", "--port", "0", "--no-browser", "--rate", "600", "--hours", "0.1")
    async with running(*demo, until="Ctrl-C") as (_, printed):
        (own,) = re.findall(r"wallboard +(\S+)/wall", printed)
        async with httpx.AsyncClient(timeout=WITHIN) as http:
            await until_async(lambda: _is_ready(http, own), WITHIN)
            for address in sorted(addresses):
                async with http.stream("GET", address.replace(LOCAL, own)) as answer:
                    assert answer.status_code == 200, address
        for name, text in programs:
            assert f'"{DEMO_KEY}"' in text
            file = tmp_path / "program.py"
            file.write_text(
                text.replace(LOCAL.replace("http", "ws"), own.replace("http", "ws")),
                encoding="utf-8",
            )
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-u", str(file)),
                stdout=asyncio.subprocess.PIPE,
                env={"PYTHONPATH": str(ROOT)},
                limit=2**22,
            )
            assert process.stdout is not None
            async with asyncio.timeout(WITHIN):
                while not (line := await process.stdout.readline()).startswith(b"change"):
                    assert line, f"the program of {name} ended"
            process.kill()
            await process.wait()


def _dedented(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())
