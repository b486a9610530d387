"""Define the command line ``callmon``, the only place that puts monitor and gateway together.

Each command imports what it needs when it runs, because importing everything takes more than a
second. Import with ``from gateway.cli.X import``: the package's attribute of a module's name may be
the command.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from typer.core import TyperGroup

from gateway.cli import keys
from gateway.cli.options import Config
from gateway.cli.russian_help import speaks_russian, translate
from gateway.cli.terminal_output import say
from monitor.shared.errors import CallmonError, ConfigError, StartFailed
from monitor.shared.printable_text import printable
from monitor.shared.tasks import leaves
from monitor.shared.version import VERSION

app = typer.Typer(
    name="callmon",
    help="Live call monitor for 3CX.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Url = Annotated[str, typer.Option(envvar="CALLMON_URL", help="Address of a gateway.")]
_UNAUTHORIZED = 401
"""HTTP status of a key that is not known."""
Key = Annotated[str, typer.Option(envvar="CALLMON_KEY", help="API key.", show_default=False)]
CaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="CALLMON_CA_FILE",
        help="PEM file of the authorities to trust for https, instead of the system's.",
    ),
]
WatchedPbx = Annotated[str, typer.Option("--pbx", help="Name of the PBX, for a key for several.")]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Do not check the gateway's certificate; for trials only."),
]
Extensions = Annotated[int, typer.Option(min=2, max=9000, help="Extensions of the simulated PBX.")]
Queues = Annotated[int, typer.Option(min=0, max=99, help="Queues of the simulated PBX.")]
Rate = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=20_000,
        help="Calls a minute; as many as in a busy hour of so many extensions if not given.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed makes the same calls.")]


_OF_DISKS = (errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"callmon {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """Live call monitor for 3CX."""


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the gateway.")] = 8765,
    extensions: Extensions = 40,
    queues: Queues = 4,
    rate: Rate = None,
    seed: Seed = 42,
    hours: Annotated[
        float,
        typer.Option(min=0, max=12, help="Hours of calls that have passed when the demo begins."),
    ] = 4.0,
    control: Annotated[
        bool, typer.Option("--control", help="Also make a key that may change things.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Play this recording instead of simulating a PBX."),
    ] = None,
    speed: Annotated[
        float,
        typer.Option(
            min=0.1, max=100.0, help="Speed of --replay: 2 is twice as fast as real time."
        ),
    ] = 1.0,
    browser: Annotated[
        bool | None,
        typer.Option(
            help="Open the wallboard in a browser; the default is yes if there is a screen."
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Answer under this host too, as a tunnel needs; repeatable.",
        ),
    ] = None,
) -> None:
    """Show live calls of a simulated PBX: everything in one process on loopback."""
    with _extra("demo"):
        from gateway.cli.demo import has_screen, run
        from gateway.cli.demo import replay as play

    opens, hosts = has_screen() if browser is None else browser, allowed_host or []
    if replay is not None:
        _run(play(port, replay, speed, opens=opens, hosts=hosts))
        return
    _run(
        run(
            port,
            extensions,
            queues,
            rate,
            seed,
            hours=hours,
            control=control,
            opens=opens,
            hosts=hosts,
        )
    )


@app.command()
def simulate(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on.")] = 5001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Answer under this host too, as a name or a tunnel needs; repeatable.",
        ),
    ] = None,
    extensions: Extensions = 40,
    queues: Queues = 4,
    contacts: Annotated[
        int, typer.Option(min=0, max=200_000, help="Contacts in its address book.")
    ] = 200,
    rate: Rate = None,
    seed: Seed = 42,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Serve https and wss, with a certificate made for this run."),
    ] = False,
    latency: Annotated[str, typer.Option(help="Delay of every answer, such as 50ms.")] = "0ms",
    traffic: Annotated[bool, typer.Option(help="Make calls automatically.")] = True,
    people: Annotated[
        bool,
        typer.Option(help="Pick up and hang up in calls that programs make, even without traffic."),
    ] = True,
    apps: Annotated[
        float,
        typer.Option(
            min=0, max=99, help="Percentage of calls that come to the client's own route point."
        ),
    ] = 0.0,
    token_lifetime: Annotated[
        float, typer.Option(min=1, help="Seconds that a token is valid.")
    ] = 3600.0,
    switch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=POSITION",
            help=(
                "Choose how the PBX behaves where the real 3CX's way is not known, such as "
                "expires_in=minutes; repeatable."
            ),
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="Make calls of this kind only; repeatable."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Leave out a kind of call, such as paging, or a habit, such as "
                "formatted_numbers; repeatable."
            ),
        ),
    ] = None,
    odd_names: Annotated[
        bool,
        typer.Option(
            "--odd-names", help="Give people and queues names that are hard to show, for tests."
        ),
    ] = False,
    client_id: Annotated[
        str, typer.Option(help="Id of the API client that it accepts.")
    ] = "callmon",
    client_secret: Annotated[
        str | None,
        typer.Option(
            help="The API client's secret; made at random if not given.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a simulated 3CX v20 alone.

    Prints its address, a client id with its secret, and the login of a user.
    """
    with _extra("demo"):
        from gateway.cli.simulator_process import run

    _run(
        run(
            host=host,
            allowed_hosts=allowed_host or [],
            port=port,
            extensions=extensions,
            queues=queues,
            contacts=contacts,
            rate=rate,
            seed=seed,
            tls=tls,
            latency=latency,
            traffic=traffic,
            people=people,
            apps=apps,
            token_lifetime=token_lifetime,
            kinds=kinds or [],
            without=without or [],
            odd_names=odd_names,
            switches=switch or [],
            client_id=client_id,
            client_secret=client_secret,
        )
    )


@app.command()
def monitor(config: Config = None) -> None:
    """Watch the PBXs of the settings file and publish what changes."""
    _hold_sighup()
    from gateway.cli.monitor_process import run

    _serve(run(config))


@app.command()
def gateway(
    config: Config = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Port to listen on; default: the settings file's."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port.")
    ] = 1,
) -> None:
    """Serve queries and the stream."""
    _hold_sighup()
    from gateway.cli.gateway_process import run

    _serve(run(config, port, workers))


@app.command()
def tail(
    url: Url = "http://127.0.0.1:8765",
    key: Key = "qRQi5xQj8SvI",
    topics: Annotated[
        str, typer.Option(help="Topics, separated by commas.")
    ] = "calls,ended,system",
    json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object for each change, with whole entities."),
    ] = False,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    pbx: WatchedPbx = "",
) -> None:
    """Print changes as they happen."""
    from gateway.cli import tail_and_snapshot as look

    _run(look.tail(look.GatewayAddress(url, key, ca_file, insecure, pbx), topics, json))


@app.command()
def top(
    url: Url = "http://127.0.0.1:8765",
    key: Key = "qRQi5xQj8SvI",
    ca_file: CaFile = None,
    insecure: Insecure = False,
    pbx: WatchedPbx = "",
) -> None:
    """Show calls, queues, agents and missed calls live in the terminal."""
    from gateway.cli.tail_and_snapshot import GatewayAddress

    with _extra("top"):
        from gateway.cli.top import run

    # Textual starts tasks in a way that uvloop 0.23 does not know on Python 3.13: TypeError on
    # eager_start.
    _run(run(GatewayAddress(url, key, ca_file, insecure, pbx)), asyncio.new_event_loop)


@app.command()
def snapshot(
    url: Url = "http://127.0.0.1:8765",
    key: Key = "qRQi5xQj8SvI",
    topics: Annotated[
        str, typer.Option(help="Topics, separated by commas; default: all that the key may see.")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the state.")] = 10.0,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    pbx: WatchedPbx = "",
) -> None:
    """Print the state as JSON."""
    from gateway.cli import tail_and_snapshot as look

    _run(look.snapshot(look.GatewayAddress(url, key, ca_file, insecure, pbx), topics, timeout))


@app.command()
def check(
    config: Config = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Add the missing extensions to those that the API client monitors."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a change.")] = False,
    gateway: Annotated[
        bool, typer.Option("--gateway", help="Check only what a gateway needs: Redis, as its user.")
    ] = False,
) -> None:
    """Test the settings against the PBX and Redis, and say what is wrong."""
    from gateway.cli.check.command import run

    asked = (lambda _: True) if yes else (lambda question: typer.confirm(printable(question)))
    _run(run(config, asked if fix else None, gateway=gateway))


@app.command()
def status(
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="Print the status as JSON.")] = False,
) -> None:
    """Show the status. Exit code 0: all is live, 1: something is stale or missing, 2: not known."""
    from gateway.cli.status.command import run

    _run(run(config, as_json=json))


@app.command()
def record(
    file: Annotated[Path, typer.Argument(help="A new file; compressed if it ends in .gz.")],
    config: Config = None,
    pbx: Annotated[str, typer.Option(help="Name of the PBX; needed if there are several.")] = "",
    minutes: Annotated[float, typer.Option(min=0.01, max=1_440, help="Minutes to record.")] = 5.0,
    client_id: Annotated[
        str, typer.Option(help="Id of an API client to use instead of the settings'.")
    ] = "",
    client_secret_file: Annotated[
        Path | None, typer.Option(help="File with the secret of --client-id.")
    ] = None,
    unmasked: Annotated[
        bool, typer.Option("--unmasked", help="Keep names and outside numbers.")
    ] = False,
) -> None:
    """Record what a PBX sends in a file, for ``demo --replay`` and tests.

    Names and outside numbers are masked.
    """
    from gateway.cli.record import run

    _run(run(config, file, pbx, minutes, client_id, client_secret_file, unmasked=unmasked))


@app.command()
def audit(
    config: Config = None,
    last: Annotated[
        int, typer.Option(min=1, max=100_000, help="Number of entries to print, the newest.")
    ] = 50,
) -> None:
    """Print the audit log: time, key, caller's address, command and result of each entry."""
    from gateway.cli.audit import run

    _run(run(config, last))


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file, readable only by its owner.")],
    config: Config = None,
) -> None:
    """Copy what this machine's monitor keeps in its file: keys, the audit log, statistics.

    The monitor may run meanwhile.
    """
    from gateway.cli.backup import back_up

    _run(back_up(config, file))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="The file that ``callmon backup`` wrote.")],
    config: Config = None,
) -> None:
    """Restore a backup while the monitor does not run; the previous file is kept beside it."""
    from gateway.cli.backup import restore as put_back

    _run(put_back(config, file))


def main() -> None:
    """Run the console script."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A file or a pipe too gets each line at once: other programs wait for an address or a
        # secret.
        sys.stdout.reconfigure(line_buffering=True)
    command = typer.main.get_command(app)
    if speaks_russian() and isinstance(command, TyperGroup):
        translate(command)
    try:
        command()
    except OSError as error:  # of what is printed outside _run, such as by --version and --help
        if error.filename is not None or error.errno not in _OF_DISKS:
            raise
        say(f"callmon: {error.strerror}", error=True)
        _drop_unwritten()
        sys.exit(1)


@contextmanager
def _extra(name: str) -> Iterator[None]:
    """Import what only an extra of callmon brings; exit with 2 and a sentence if it is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "gateway", "monitor"):  # ours: a fault of the program
            raise
        say(
            f"callmon: this command needs {package}, which is not installed; to install it: "
            f'pip install "callmon[{name}]"',
            error=True,
        )
        raise typer.Exit(2) from None


def _run(
    work: Coroutine[Any, Any, int | None],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> None:
    """Run a command; an error is printed as a sentence, without a trace."""
    code, errors = _outcome(work, new_loop)
    if any(map(_of_the_key, errors)):
        say("callmon: --key or CALLMON_KEY gives the key; `callmon key new` makes one.", error=True)
    raise typer.Exit(1 if errors else code)


def _hold_sighup() -> None:
    """Ignore SIGHUP until the service answers it: it would end a service that still starts.

    At a terminal it may also mean that the terminal is gone.
    """
    if not os.isatty(0):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _serve(work: Coroutine[Any, Any, int | None]) -> None:
    """Run a service.

    Exits with EX_CONFIG if its settings are wrong, so that systemd does not start it again.
    """
    code, errors = _outcome(work)
    if errors:
        from gateway.cli.runtime import service_notify as liveness

        liveness.failed("; ".join(map(str, errors)))
        wrong = any(
            isinstance(error, ConfigError) and not isinstance(error, StartFailed)
            for error in errors
        )
        code = os.EX_CONFIG if wrong else 1
    raise typer.Exit(code)


def _outcome(
    work: Coroutine[Any, Any, int | None],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> tuple[int, list[BaseException]]:
    """Run to the end or to the first SIGINT or SIGTERM.

    Returns the exit code and the errors, each of which has been printed.
    """
    code: int | None = 0
    errors: list[BaseException] = []
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            code = runner.run(_until_told(work))
    except* _told() as group:
        errors += leaves(group)
        for error in errors:
            # Mistakes in the settings are a list; every other error is printed as one line.
            lines = str(error).split("\n") if isinstance(error, ConfigError) else [str(error)]
            say(f"callmon: {lines[0]}", *lines[1:], error=True)
    except* OSError as group:  # errors of files and disks that no command has handled
        gone = _nobody_reads(group)
        if gone:
            code = 128 + signal.SIGPIPE
        for error in () if gone else leaves(group):
            if not isinstance(error, OSError) or (
                error.filename is None and error.errno not in _OF_DISKS
            ):
                raise
            say(
                f"callmon: {f'{error.filename}: ' if error.filename else ''}{error.strerror}",
                error=True,
            )
            errors.append(error)
        _drop_unwritten()
    return code or 0, errors


app.add_typer(keys.commands(_run), name="key")


def _nobody_reads(group: BaseExceptionGroup[BaseException]) -> bool:
    """Return whether the reader of standard output has gone, as ``head`` does.

    If so, nothing more is written to it.
    """
    if not any(isinstance(error, BrokenPipeError) for error in leaves(group)):
        return False
    output = sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
    poll = select.poll()
    poll.register(output, 0)
    if not poll.poll(0):  # the broken pipe is not standard output
        return False
    _drop(output)
    return True


def _drop_unwritten() -> None:
    """Drop what standard output cannot take, such as on a full disk."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout.fileno())


def _drop(output: int) -> None:
    """Write nothing more to this descriptor: what is in the buffer would fail at the end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, output)
    os.close(null)


def _of_the_key(error: BaseException) -> bool:
    """Return whether a gateway refused the key. What is no gateway may want another key."""
    client = sys.modules.get("gateway.stream_client")
    return (
        client is not None
        and isinstance(error, client.StreamRefused)
        and not isinstance(error, client.StreamUnreachable)
        and error.code == _UNAUTHORIZED
    )


def _told() -> tuple[type[Exception], ...]:
    """Return the errors whose texts are sentences; those of the client only if it was used."""
    client = sys.modules.get("gateway.stream_client")
    return (CallmonError,) if client is None else (CallmonError, client.StreamClientError)


async def _until_told(work: Coroutine[Any, Any, int | None]) -> int | None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(
            name, task.cancel, name.name
        )  # the last line of the log shows this name
    with suppress(asyncio.CancelledError):
        return await task
    return 0
