"""Print the manual page or a shell's completion of callmon, from its command line's definitions.

usage: reference.py man|bash|zsh|fish
       reference.py DIRECTORY           all of them, where Debian looks for them in /usr/share

The completions are tables: the shell answers at once, while callmon itself needs a moment to start.
The manual page takes what is not defined there from callmon.1.in beside this file.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from gateway.cli import app

_TEMPLATE = Path(__file__).with_name("callmon.1.in")
_PROJECT = Path(__file__).parents[1] / "pyproject.toml"
_PLACES = {
    "man": "man/man1/callmon.1",
    "bash": "bash-completion/completions/callmon",
    "zsh": "zsh/vendor-completions/_callmon",
    "fish": "fish/vendor_completions.d/callmon.fish",
}


class Parameter(NamedTuple):
    """An option or an argument. ``usage`` and ``text`` are those of ``--help``."""

    names: list[str]
    usage: str
    text: str
    takes_value: bool
    is_argument: bool


class Command(NamedTuple):
    """A command or a group of commands. ``path``: its words, from ``callmon`` on."""

    path: tuple[str, ...]
    summary: str
    parameters: list[Parameter]
    commands: list[Command]

    @property
    def options(self) -> list[Parameter]:
        """Return what begins with a dash."""
        return [parameter for parameter in self.parameters if not parameter.is_argument]

    @property
    def valued(self) -> list[str]:
        """Return the names of the options that take a value."""
        return [name for option in self.options if option.takes_value for name in option.names]

    @property
    def takes_arguments(self) -> bool:
        """Return whether it takes words that are neither options nor commands."""
        return any(parameter.is_argument for parameter in self.parameters)

    def all(self) -> Iterator[Command]:
        """Yield the command and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


def main(what: str) -> None:
    """See the module."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("callmon", [], resilient_parsing=True)
    read = _read(root, context, ("callmon",))
    writers = {"man": manual, "bash": bash, "zsh": zsh, "fish": fish}
    if what in writers:
        print(writers[what](read), end="")
        return
    for name, place in _PLACES.items():
        file = Path(what, place)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(writers[name](read), encoding="utf-8")


def _read(command: Any, context: Any, path: tuple[str, ...]) -> Command:
    inner = getattr(command, "commands", {})
    return Command(
        path,
        _plain(command.help or ""),
        [
            _parameter(each, context)
            for each in command.get_params(context)
            if not getattr(each, "hidden", False)
        ],
        [
            _read(each, type(context)(each, info_name=name, parent=context), (*path, name))
            for name, each in inner.items()
        ],
    )


def _parameter(given: Any, context: Any) -> Parameter:
    usage, text = given.get_help_record(context)
    is_argument = given.param_type_name == "argument"
    names = [] if is_argument else [*given.opts, *given.secondary_opts]
    return Parameter(
        names, usage, _plain(text), not (is_argument or given.is_flag or given.count), is_argument
    )


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "").split())


# the manual page


def manual(root: Command) -> str:
    """Return the manual page: the template with name, version and commands put in."""
    text = _TEMPLATE.read_text(encoding="utf-8")
    version = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    text = text.replace("@VERSION@", version)
    return text.replace(
        "@COMMANDS@", "\n".join(line for command in root.all() for line in _section(command))
    )


def _section(command: Command) -> Iterator[str]:
    if len(command.path) > 1:
        yield f'.SS "{_roff(" ".join(command.path))}"'
        yield _roff(command.summary)
    for parameter in command.parameters:
        if len(command.path) > 1 and parameter.names == ["--help"]:  # said once
            continue
        yield ".TP"
        yield rf"\fB{_roff(parameter.usage)}\fR"
        yield _roff(parameter.text) or r"\&"


def _roff(text: str) -> str:
    text = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq").replace("'", r"\(aq")
    return rf"\&{text}" if text.startswith(".") else text


# the shells


def bash(root: Command) -> str:
    """Return the completion for bash; bash offers files where the function offers nothing."""
    cases = "".join(
        f'        "{" ".join(command.path)}")\n'
        f'            words="{" ".join(_words(command))}"\n'
        f'            valued=" {" ".join(command.valued)} "\n'
        f"            files={'yes' if command.takes_arguments else ''} ;;\n"
        for command in root.all()
    )
    return f"""\
_callmon() {{
    local at=callmon word words valued files
    local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        case "$at $word" in
        {_paths(root)}) at="$at $word" ;;
        esac
    done
    case $at in
{cases}    esac
    COMPREPLY=()
    if [[ $valued == *" $before "* ]] || [[ $files && $now != -* ]]; then return; fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$now")
}}
complete -o bashdefault -o default -F _callmon callmon
"""


def zsh(root: Command) -> str:
    """Return the completion for zsh: a function that is loaded by its file's name, or sourced."""
    cases = "".join(
        f'        ("{" ".join(command.path)}")\n'
        f"            "
        f"commands=({_described((each.path[-1], each.summary) for each in command.commands)})\n"
        f"            "
        f"options=({_described(_option_texts(command))})\n"
        f"            valued=({' '.join(command.valued)})\n"
        f"            files={'yes' if command.takes_arguments else ''} ;;\n"
        for command in root.all()
    )
    return f"""\
#compdef callmon
_callmon() {{
    local at=callmon word files
    local -a commands options valued
    for word in "${{(@)words[2,CURRENT-1]}}"; do
        case "$at $word" in
        ({_paths(root)}) at="$at $word" ;;
        esac
    done
    case $at in
{cases}    esac
    if (( ${{valued[(Ie)${{words[CURRENT-1]}}]}} )); then
        _files
    elif [[ $PREFIX == -* ]]; then
        _describe -o option options
    elif [[ -n $files ]]; then
        _files
    elif (( $#commands )); then
        _describe command commands
    else
        _describe -o option options
    fi
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _callmon "$@"
else
    compdef _callmon callmon
fi
"""


def fish(root: Command) -> str:
    """Return the completion for fish: a line for each command and each option."""
    return "".join(f"complete -c callmon {line}\n" for line in ("-f", *_fish_lines(root)))


def _fish_lines(root: Command) -> Iterator[str]:
    for command in root.all():
        conditions = [f"__fish_seen_subcommand_from {word}" for word in command.path[1:]]
        if command.commands:
            below = " ".join(each.path[-1] for each in command.commands)
            conditions.append(f"not __fish_seen_subcommand_from {below}")
        where = f"-n '{'; and '.join(conditions)}'"
        for each in command.commands:
            yield f"{where} -a {each.path[-1]} -d {_quoted(each.summary)}"
        if command.takes_arguments:
            yield f"{where} -F"
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = "-r -F " if option.takes_value else ""
            yield f"{where} {names} {value}-d {_quoted(option.text)}"


def _option_texts(command: Command) -> Iterator[tuple[str, str]]:
    return ((name, each.text) for each in command.options for name in each.names)


def _words(command: Command) -> list[str]:
    names = [name for option in command.options for name in option.names]
    return [each.path[-1] for each in command.commands] + names


def _paths(root: Command) -> str:
    return " | ".join(
        f'"{" ".join(command.path)}"' for command in root.all() if command is not root
    )


def _described(pairs: Iterator[tuple[str, str]]) -> str:
    return " ".join(_quoted(f"{name}:{text}") for name, text in pairs)


def _quoted(text: str) -> str:
    """Return it as one word in single quotes, as bash, zsh and fish all read it."""
    return "'" + re.sub(r"'", "'\"'\"'", text) + "'"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: reference.py man|bash|zsh|fish|DIRECTORY")
    main(sys.argv[1])
