"""Test that those who hang up wallboards can read the help in Russian."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from gateway.cli import app
from gateway.cli.russian_help import RUSSIAN, speaks_russian

WALL = ("demo", "key", "tail", "top", "status")
"""The commands of those who hang up wallboards."""


@pytest.mark.parametrize(
    ("environment", "russian"),
    [
        ({"LANG": "ru_RU.UTF-8"}, True),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "ru_RU.UTF-8"}, True),
        ({"LANG": "ru_RU.UTF-8", "LC_MESSAGES": "C"}, False),
        ({"LANG": "ru_RU.UTF-8", "LC_ALL": ""}, True),
        ({}, False),
    ],
)
def test_the_language_is_the_users(environment: dict[str, str], russian: bool) -> None:
    assert speaks_russian(environment) is russian


def _texts(command: Any, *, inner: bool) -> Iterator[str]:
    if command.help:
        yield command.help.split("\n\n")[0]
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.help:
            yield parameter.help
    if inner and isinstance(command, TyperGroup):
        for one in command.commands.values():
            yield from _texts(one, inner=True)


def test_every_text_that_they_need_is_there_in_russian_and_no_other() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    texts = set(_texts(root, inner=False))
    for name, command in root.commands.items():
        texts |= set(_texts(command, inner=True)) if name in WALL else set()
        texts.add((command.help or "").split("\n\n")[0])
    assert len(texts) > 40
    assert texts <= set(RUSSIAN), texts - set(RUSSIAN)
    assert set(RUSSIAN) <= texts, "a text that no command has"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--help",), "Создать, перечислить или отозвать ключи."),
        (("key", "new", "--help"), "Создать ключ; он показывается один раз."),
        (("demo", "--help"), "Порт сервера."),
    ],
)
def test_the_command_says_it(arguments: tuple[str, ...], says: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from gateway.cli import main; main()", *arguments],
        env=os.environ | {"LC_ALL": "ru_RU.UTF-8", "COLUMNS": "120", "PYTHONUTF8": "1"},
        capture_output=True,
        check=True,
        text=True,
        encoding="utf-8",
    )
    assert says in told.stdout
