"""Test ``tail``, ``snapshot`` and ``top`` without a gateway: they say so, wait, or end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.bus import free_port
from tests.gateway.cli.console import WITHIN, callmon, ended_by_ctrl_c, started
from tests.gateway.cli.terminal import in_terminal
from tests.gateway.serving import serving
from tests.wrong_services import Answer, banner, http, listening, silence

NO_PROXIES = dict.fromkeys(
    ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "no_proxy"), ""
)


async def line(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    async with asyncio.timeout(WITHIN):
        return (await stream.readline()).decode()


async def test_tail_says_why_at_once_goes_on_and_says_that_it_works() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = await started(
        "tail", "--url", url, "--key", "reader-key", "--topics", "calls", **NO_PROXIES
    )
    async with ended_by_ctrl_c(process):
        assert await line(process.stderr) == (
            f"callmon: Nothing listens at {url}: is a gateway running there, and is this its "
            f"port? Trying again.\n"
        )
        async with serving(port=port):
            assert "snapshot at" in await line(process.stdout)
            assert await line(process.stderr) == "callmon: The gateway is reached.\n"
        assert (await line(process.stderr)).startswith(f"callmon: {url} closed the connection")


@asynccontextmanager
async def nobody(_: None) -> AsyncIterator[int]:
    yield free_port()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "Nothing listens at http://127.0.0.1:{port}"),
        (silence, "http://127.0.0.1:{port} does not answer"),
        (http("503 Service Unavailable"), "answers 503 Service Unavailable"),
    ],
    ids=["closed port", "silence", "503"],
)
async def test_snapshot_gives_up_in_time(answer: Answer | None, words: str) -> None:
    async with nobody(None) if answer is None else listening(answer) as port:
        url = f"http://127.0.0.1:{port}"
        given = f"{url}/wall#key=hush"  # as it stands in a browser
        said = await callmon("snapshot", "--url", given, "--timeout", "4.5", **NO_PROXIES)
    lines = said.err.splitlines()
    assert said.code == 1
    assert (words.format(port=port) in lines[0], lines[0].endswith(" Trying again.")) == (
        True,
        True,
    ), lines
    assert lines[1:] == [f"callmon: No state came from {url} within 4.5 s."]


@pytest.mark.parametrize(
    ("command", "answer", "words"),
    [
        ("tail", banner, "is not a gateway of callmon: its answer is not HTTP"),
        (
            "snapshot",
            http("404 Not Found"),
            "is not a gateway of callmon: it answers 404 Not Found",
        ),
        ("snapshot", http("401 Unauthorized"), "a gateway of callmon: it answers 401 Unauthorized"),
        (
            "tail",
            http("301 Moved", "Location: https://127.0.0.1/"),
            "redirects to https://127.0.0.1 (301)",
        ),
    ],
    ids=["ssh", "404", "401", "redirect"],
)
async def test_what_waiting_cannot_mend_ends_it(command: str, answer: Answer, words: str) -> None:
    async with listening(answer) as port:
        said = await callmon(command, "--url", f"http://127.0.0.1:{port}", **NO_PROXIES)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"callmon: http://127.0.0.1:{port} ")
    assert (words in said.err, said.err.count("\n")) == (True, 1), said.err


async def test_a_bad_key_ends_it_with_a_sentence() -> None:
    async with serving() as served:
        said = await callmon(
            "tail", "--url", f"http://{served.host}", "--key", "no-such-key", **NO_PROXIES
        )
    assert (said.code, said.err.startswith("callmon: the stream was refused: ")) == (1, True)
    assert said.err.endswith("--key or CALLMON_KEY gives the key; `callmon key new` makes one.\n")


async def test_a_proxy_is_named_without_its_password_and_not_used_for_this_machine() -> None:
    proxy = f"http://me:s3cr3t@127.0.0.1:{free_port()}"
    environment = NO_PROXIES | {"http_proxy": proxy, "https_proxy": proxy}
    said = await callmon(
        "snapshot", "--url", "http://gateway.example", "--timeout", "2", **environment
    )
    assert said.code == 1
    assert said.err.startswith(
        f"callmon: The proxy http://{proxy.partition('@')[2]} cannot be reached: "
    )
    assert "s3cr3t" not in said.err
    async with serving() as served:
        said = await callmon(
            "snapshot", "--url", f"http://{served.host}", "--key", "reader-key", **environment
        )
    assert said.code == 0, said.err
    assert json.loads(said.out)["state"]["calls"] == {}


@pytest.mark.parametrize("what", ["closed port", "silence"])
async def test_top_shows_why_and_q_quits(what: str) -> None:
    async with nobody(None) if what == "closed port" else listening(silence) as port:
        words = "Nothing listens at" if what == "closed port" else "does not answer"
        code, printed = await in_terminal(
            "top", "--url", f"http://127.0.0.1:{port}", until=words, then="q", **NO_PROXIES
        )
    assert (code, "Traceback" in printed) == (0, False), printed


async def test_top_quits_while_nothing_is_known_yet() -> None:
    async with listening(silence) as port:
        url = f"http://127.0.0.1:{port}"
        code, printed = await in_terminal(
            "top", "--url", url, until="Connecting to the gateway", then="q", **NO_PROXIES
        )
    assert (code, "Traceback" in printed) == (0, False), printed


async def test_top_ends_with_a_sentence_where_waiting_is_no_use() -> None:
    async with listening(http("404 Not Found")) as port:
        code, printed = await in_terminal("top", "--url", f"http://127.0.0.1:{port}", **NO_PROXIES)
    assert code == 1
    assert f"callmon: http://127.0.0.1:{port} is not a gateway of callmon" in printed
    assert "Traceback" not in printed
