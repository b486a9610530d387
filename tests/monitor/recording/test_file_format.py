"""Test that recordings can be read back, and that other files are refused."""

from __future__ import annotations

import contextlib
import gzip
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.pbx.traffic_tap import SentRequest
from monitor.recording import file_format
from monitor.recording.masking import Mask
from monitor.recording.recorder import Recorder
from monitor.recording.response_matcher import Timeline
from monitor.shared.errors import ConfigError


def to_json_text(value: object) -> bytes:
    return json.dumps(value).encode()


FIRST = (
    b'{"callmon_recording": 1, "began": 1700000000.0, "source": "activecalls", "settings": '
    b'{"poll_idle": 2.0}}\n'
)


def written(path: Path) -> Recorder:
    recorder = Recorder(
        file_format.create(path),
        file_format.Header(1.0, "auto", settings={"poll_interval": 0.5}),
        None,
    )
    sent = SentRequest("GET", "/xapi/v1/SystemStatus", None, 0.0)
    for _ in range(2):
        recorder.answered(
            sent, 200, {"X-3CX-Version": "20.0", "Set-Cookie": "secret"}, b'{"Version": "20.0"}'
        )
    recorder.unanswered(sent)
    recorder.opened()
    recorder.heard('{"sequence": 1}')
    recorder.heard(b"no JSON")
    recorder.closed(1006, "")
    recorder.refused(401)
    recorder.end()
    return recorder


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    recorder = written(tmp_path / name)
    assert (recorder.answers, recorder.events, recorder.failed) == (2, 2, "")
    read = file_format.read(tmp_path / name)
    assert read.header == file_format.Header(1.0, "auto", settings={"poll_interval": 0.5})
    kinds = [line.kind for line in read.lines]
    assert kinds == [
        "answer",
        "answer",
        "silence",
        "opened",
        "event",
        "event",
        "closed",
        "away",
        "end",
    ]
    first, second = read.lines[:2]
    assert first.said["body"] == {"Version": "20.0"}
    assert first.said["headers"] == {"X-3CX-Version": "20.0"}
    assert second.said["same"] is True
    assert read.lines[5].said == {"bytes": 7}


def test_only_its_owner_may_read_it_and_none_is_written_over(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl")
    assert stat.S_IMODE((tmp_path / "a.jsonl").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match=r"a\.jsonl exists already"):
        file_format.create(tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="cannot be made: No such file"):
        file_format.create(tmp_path / "nowhere" / "a.jsonl")


def test_a_full_disk_ends_the_recording_and_nothing_else() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    recorder = Recorder(full.open("wb", buffering=0), file_format.Header(1.0), Mask(b"salt"))
    recorder.heard("{}")
    recorder.end()
    assert recorder.failed == "No space left on device"


def test_a_file_that_was_cut_off_counts_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(FIRST + b'{"t": 1.0, "kind": "opened"}\n{"t": 2.0, "ki')
    assert [line.kind for line in file_format.read(path).lines] == ["opened"]
    packed = tmp_path / "cut.jsonl.gz"
    packed.write_bytes(gzip.compress(FIRST + b'{"t": 1.0, "kind": "opened"}\n' * 500)[:-9])
    assert file_format.read(packed).lines


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n", "is not a recording of callmon"),
        (b"[1]\n", "is not a recording of callmon"),
        (
            b'{"callmon_recording": 2}\n',
            "is a recording of version 2; this callmon knows version 1",
        ),
        (b'{"callmon_recording": 1}\n', "its first line lacks began or settings"),
        (FIRST + b"what\n", "line 2 is not JSON"),
        (
            FIRST + b'{"t": 1.0, "kind": "opened"}\n{"t": "soon", "kind": "end"}\n',
            "line 3 has no t or no kind",
        ),
        (FIRST + b'{"t": 1.0, "kind": "push", "logins": [1]}\n', "line 2 has no logins as logins"),
        (FIRST + b'{"t": 1.0, "kind": "event", "bytes": "x"}\n', "line 2 has no number as bytes"),
        (
            FIRST + b'{"t": 1.0, "kind": "away", "status": 99999}\n',
            "line 2 has no number as status",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        file_format.read(path)


@pytest.mark.parametrize("content", [b"x" * 50_000, FIRST * 1_000], ids=["a line", "lines"])
def test_a_few_bytes_that_unpack_to_very_many_are_not_all_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(file_format, "MAX_BYTES", 2_000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(FIRST + content))
    with pytest.raises(ConfigError, match="holds more than 0 MiB, unpacked; record for a shorter"):
        file_format.read(path)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        file_format.read(tmp_path / "none.jsonl")
    packed = tmp_path / "none.jsonl.gz"
    packed.write_bytes(b"not packed")
    with pytest.raises(ConfigError, match="cannot be read"):
        file_format.read(packed)
    content = bytearray(gzip.compress(FIRST * 99))
    content[20:24] = b"\xff\xff\xff\xff"
    packed.write_bytes(content)
    with pytest.raises(ConfigError, match="is damaged"):
        file_format.read(packed)


def test_settings_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(
        b'{"callmon_recording": 1, "began": 1.0, "source": "elsewhere", "settings": '
        b'{"poll_interval": 0, "poll_idle": "often", "watchdog_interval": 3.0, "url": 5, '
        b'"contacts_interval": 1e99}}\n'
    )
    header = file_format.read(path).header
    assert header.source == "auto"
    assert header.settings == {"watchdog_interval": 3.0}


_NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([10**400, -(10**400), True])
)
_ANY = st.recursive(
    st.none() | _NUMBERS | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
_SAID = st.fixed_dictionaries(
    {
        "t": _NUMBERS,
        "kind": st.sampled_from(["answer", "silence", "opened", "away", "event", "closed", "end"]),
    },
    optional=dict.fromkeys(
        (
            "asked",
            "ask",
            "method",
            "path",
            "status",
            "body",
            "same",
            "logins",
            "said",
            "bytes",
            "code",
            "reason",
        ),
        _ANY,
    ),
)
_HEADS = st.fixed_dictionaries(
    {"callmon_recording": st.just(1), "began": _NUMBERS, "settings": st.just({}) | _ANY}
)


@given(
    head=st.just(FIRST.rstrip()) | _HEADS.map(to_json_text) | st.binary(max_size=30),
    lines=st.lists(
        _SAID.map(to_json_text) | _ANY.map(to_json_text) | st.binary(max_size=30), max_size=4
    ),
    compressed=st.booleans(),
)
def test_any_file_is_a_recording_that_can_be_played_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, head: bytes, lines: list[bytes], compressed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / ("any.jsonl.gz" if compressed else "any.jsonl")
    content = b"".join(line + b"\n" for line in (head, *lines))
    path.write_bytes(gzip.compress(content, 1) if compressed else content)
    with contextlib.suppress(ConfigError):
        Timeline(file_format.read(path))
