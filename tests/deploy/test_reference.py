"""Test that the manual page and the completions hold all of the command line, and no more."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli import app
from gateway.cli.runtime import service_notify as liveness
from tests.deploy.test_image import ROOT

INTERNAL = {"CALLMON_", "CALLMON_WORKER", "CALLMON_WORKER_PULSE"}
"""Variables by which the gateway's processes know each other, and the prefix of all."""


REFERENCE = runpy.run_path(str(ROOT / "deploy" / "reference.py"), run_name="reference")


def reference(what: str) -> str:
    """Return what the script prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        REFERENCE["main"](what)
    return printed.getvalue()


def commands(command: Any = None, path: str = "callmon") -> Iterator[tuple[str, Any]]:
    """Every command with the words by which it is called, as the parser has them."""
    command = typer.main.get_command(app) if command is None else command
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


def offered(path: str, command: Any, typed: str) -> set[str]:
    """What there is to choose from after ``path`` if ``typed`` is the beginning of it."""
    names = [
        name
        for each in command.params
        if each.opts[0].startswith("-")
        for name in each.opts + each.secondary_opts
    ]
    names += [*getattr(command, "commands", {}), "--help"]
    return {name for name in names if name.startswith(typed)}


GROUPS = {path: command for path, command in commands() if hasattr(command, "commands")}
COMMANDS = dict(commands())


# the manual page


def sections() -> dict[str, str]:
    """Its sections and subsections by their titles, as plain text."""
    text = re.sub(r"\\f[BRI]", "", reference("man")).replace(r"\-", "-").replace(r"\(aq", "'")
    found = re.findall(r'^\.S[SH] "?(.*?)"?\n(.*?)(?=^\.S[SH] |\Z)', text, re.MULTILINE | re.DOTALL)
    return dict(found)


def test_the_manual_page_has_every_command_with_each_of_its_options() -> None:
    page = sections()
    assert [title for title in page if title.startswith("callmon ")] == [
        path for path in COMMANDS if path != "callmon"
    ]
    for path, command in COMMANDS.items():
        section = page["COMMANDS" if path == "callmon" else path]
        terms = re.findall(r"^\.TP\n(.*)\n(.*)$", section, re.MULTILINE)
        for parameter in command.params:
            names = (
                [*parameter.opts, *parameter.secondary_opts]
                if parameter.opts[0].startswith("-")
                else []
            )
            wanted = set(names or [parameter.name])
            text = [said for term, said in terms if wanted <= set(re.split("[ ,/]+", term))]
            assert len(text) == 1, (path, parameter.name, terms)
            assert text[0].strip(r"\&") or path == "callmon key revoke", (
                f"{path} {names} is not explained"
            )
        assert len(terms) == len(command.params) + (path == "callmon"), (
            path,
            terms,
        )  # --help stands there once


def test_the_manual_page_has_the_sections_that_are_looked_for() -> None:
    wanted = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "COMMANDS",
        "EXIT STATUS",
        "SIGNALS",
        "ENVIRONMENT",
        "FILES",
    ]
    titles = [title for title in sections() if not title.startswith("callmon ")]
    assert titles[: len(wanted)] == wanted
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (
        reference("man").splitlines()[0]
        == f'.TH CALLMON 1 "" "callmon {project["version"]}" "User Commands"'
    )
    assert "@" not in re.sub(r"\S+@\S+", "", reference("man")), "something was not put in"


def test_each_name_that_is_read_from_the_environment_is_in_the_manual_page() -> None:
    read = {liveness.BEAT_FILE}
    for path in (*ROOT.glob("monitor/**/*.py"), *ROOT.glob("gateway/**/*.py")):
        read |= set(re.findall(r'"(CALLMON_[A-Z_]*)"', path.read_text(encoding="utf-8")))
    read |= set(
        re.findall(r"\$\{(CALLMON_(?:ETC|HOME|CONFIG))\b", (ROOT / "deploy/callmon.sh").read_text())
    )
    assert len(read) > 6
    environment = sections()["ENVIRONMENT"]
    assert (
        sorted(name for name in read - INTERNAL if not re.search(rf"\b{name}\b", environment)) == []
    )


def test_the_places_of_the_manual_page_are_those_of_the_package() -> None:
    build = (ROOT / "deploy" / "debian" / "build.sh").read_text(encoding="utf-8")
    named = re.findall(r"/usr/share/(callmon/\w+)/", sections()["FILES"])
    assert len(named) == 3
    assert [folder for folder in named if f'"$share/{folder}"' not in build] == []


@pytest.mark.skipif(
    shutil.which("man") is None, reason="man is not installed: the page is not formatted"
)
def test_man_formats_the_manual_page_without_a_warning(tmp_path: Path) -> None:
    page = tmp_path / "callmon.1"
    page.write_text(reference("man"), encoding="utf-8")
    command = ["man", "--warnings", "--local-file", str(page)]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    said = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (said.returncode, said.stderr) == (0, "")
    assert "--print-block" in said.stdout


# the completions


def completed(shell: str, path: str, typed: str) -> set[str]:
    """What the shell itself would offer."""
    words = [*path.split(), typed]
    script = reference(shell)
    if shell == "bash":
        given = " ".join(f"'{word}'" for word in words)
        script += (
            f"\nCOMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _callmon; printf '%s\\n' "
            f'"${{COMPREPLY[@]}}"'
        )
        command = ["bash", "--norc", "-c", script]
    elif shell == "zsh":
        # What zsh's own functions would show.
        stubs = "compdef() {}\n_files() { print FILES }\n_describe() { print -rl -- ${(P)@[-1]} }\n"
        given = " ".join(f"'{word}'" for word in words)
        script = (
            f"{stubs}{script}\nwords=({given}); CURRENT={len(words)}; PREFIX='{typed}'; _callmon"
        )
        command = ["zsh", "-f", "-c", script]
    else:
        command = ["fish", "--no-config", "-c", f"{script}\ncomplete -C'{' '.join(words)}'"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stderr == ""
    found = {re.split(r"[:\t]", line)[0] for line in said.stdout.splitlines() if line}
    return {word for word in found if word.startswith(typed) or word == "FILES"}


def needs(shell: str) -> Any:
    there = shutil.which(shell) is not None
    return pytest.param(
        shell,
        marks=pytest.mark.skipif(not there, reason=f"{shell} is not installed: not completed"),
    )


@pytest.mark.parametrize("shell", [needs("bash"), needs("zsh"), needs("fish")])
def test_a_shell_offers_every_command_and_every_option(shell: str) -> None:
    for path, command in COMMANDS.items():
        assert completed(shell, path, "--") == offered(path, command, "--"), path
    for path, command in GROUPS.items():
        words = {word for word in completed(shell, path, "") if not word.startswith("-")}
        assert words == set(command.commands), path


@pytest.mark.parametrize("shell", [needs("bash"), needs("zsh"), needs("fish")])
def test_files_and_nothing_else_are_offered_for_a_value(shell: str) -> None:
    words = completed(shell, "callmon monitor --config", "")
    if shell == "bash":
        assert words == set(), "then bash itself offers files: complete -o default"
    elif shell == "zsh":
        assert words == {"FILES"}
    else:
        assert words
        assert words <= {
            f"{path.name}/" if path.is_dir() else path.name for path in Path.cwd().iterdir()
        }
