"""Test the gateway's settings, and the sentences that tell of mistakes."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.api_keys import sha256_hex, toml_block
from gateway.config import GatewaySettings
from gateway.visibility import Limits
from monitor.config import MonitorSettings
from monitor.shared.errors import ConfigError

DIGEST = sha256_hex("some-key-of-some-client")
WHOLE = f"""
[redis]
url = "redis://bus:6379/1"

[gateway]
host = "0.0.0.0"
port = 9000
heartbeat_interval = 2.5

[monitor]
name = "not the gateway's affair"

[log]
level = "debug"

[[pbx]]
name = "berlin"
url = "https://pbx.example:5001"
client_id = "not the gateway's affair either"

[[pbx]]
name = "omsk"

[[keys]]
name = "wallboard"
digest = "{DIGEST}"
pbx = "berlin"
scopes = ["read", "contacts"]
expires = 2027-01-01T00:00:00+03:00
limits = {{ extensions = ["101"], queues = ["800"] }}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "callmon.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load(write(folder, text))
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    settings = GatewaySettings.load(None)
    assert (settings.gateway.host, settings.gateway.port, settings.redis.url) == (
        "127.0.0.1",
        8765,
        "redis://127.0.0.1:6379/0",
    )
    assert settings.pbx_names == ()


def test_everything_of_the_shared_file_is_read_that_the_gateway_needs(tmp_path: Path) -> None:
    settings = GatewaySettings.load(write(tmp_path, WHOLE))
    assert settings.redis.url == "redis://bus:6379/1"
    assert (settings.gateway.port, settings.gateway.heartbeat_interval, settings.log.level) == (
        9000,
        2.5,
        "debug",
    )
    assert settings.pbx_names == ("berlin", "omsk")
    key = settings.key_table().find("some-key-of-some-client", "2026-12-31T20:59:59.999Z")
    assert (key.name, key.pbx, key.scopes) == (
        "wallboard",
        "berlin",
        frozenset({"read", "contacts"}),
    )
    assert key.expires == "2026-12-31T21:00:00.000Z"
    assert key.limits == Limits(frozenset({"101"}), frozenset({"800"}), None)


@pytest.mark.parametrize(
    ("kind", "number"), [("queues", "abc"), ("extensions", "1O1"), ("groups", "")]
)
def test_a_limit_that_no_number_can_meet_is_refused(tmp_path: Path, kind: str, number: str) -> None:
    text = (
        f'[[pbx]]\nname = "pbx"\n[[keys]]\nname = "wall"\ndigest = "{DIGEST}"\nlimits = {{ '
        f'{kind} = ["{number}"] }}\n'
    )
    said = refusal(tmp_path, text)
    assert (
        f"'{number}' is not the number of an extension, a queue or a ring group, such as 800"
        in said
    )


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLMON_GATEWAY__PORT", "9100")
    monkeypatch.setenv("CALLMON_REDIS__URL", "redis://elsewhere")
    settings = GatewaySettings.load(write(tmp_path, WHOLE))
    assert (settings.gateway.port, settings.gateway.host, settings.redis.url) == (
        9100,
        "0.0.0.0",
        "redis://elsewhere",
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "CALLMON_GATWAY__PORT",
            "1",
            r"CALLMON_GATWAY__PORT is not a setting; did you mean CALLMON_GATEWAY__…\?",
        ),
        (
            "CALLMON_GATEWAY__PROT",
            "1",
            r"CALLMON_GATEWAY__PROT is not a setting; did you mean CALLMON_GATEWAY__PORT\?",
        ),
        (
            "CALLMON_GATEWAY__STREAM__X",
            "1",
            "CALLMON_GATEWAY__STREAM__X is not a setting; known here: connections, ",
        ),
        (
            "CALLMON_GATEWAY__PORT__X",
            "1",
            "is not a setting; CALLMON_GATEWAY__PORT is one, and has no parts",
        ),
        (
            "CALLMON_GATEWAY_HOST",
            "::1",
            r"CALLMON_GATEWAY_HOST is not a setting; did you mean CALLMON_GATEWAY__HOST\?",
        ),
        (
            "CALLMON_GATEWAY__PORT",
            "70000",
            "CALLMON_GATEWAY__PORT is '70000': write 65535 or less",
        ),
        (
            "CALLMON_GATEWAY__PORT",
            "",
            "CALLMON_GATEWAY__PORT is empty: write a whole number",
        ),
        (
            "CALLMON_REDIS__CA_FILE",
            "",
            "CALLMON_REDIS__CA_FILE is empty: give it a value, or leave it out",
        ),
        (
            "CALLMON_REDIS__URL",
            "",
            "CALLMON_REDIS__URL is empty: give it a value, or leave it out",
        ),
        (
            "CALLMON_REDIS__URL",
            "nothing://:hush@a",
            "CALLMON_REDIS__URL: it begins with nothing://, which is unknown; write it as redis://",
        ),
        (
            "CALLMON_REDIS__URL_FILE",
            "/run/redis",
            r'a setting from a file; give CALLMON_REDIS__URL="\$\(cat FILE\)"$',
        ),
        (
            "CALLMON_LOG__LEVEL",
            "loud",
            "CALLMON_LOG__LEVEL is 'loud': write 'debug', 'info'",
        ),
        (
            "CALLMON_KEYS",
            "hush",
            "CALLMON_KEYS is not JSON .*; a list of sections is given as JSON, such as",
        ),
        (
            "CALLMON_GATEWAY__CORS_ORIGINS",
            "https://a",
            "_ORIGINS is not JSON .*; a list is given as JSON, such as",
        ),
        (
            "CALLMON_GATEWAY__CORS_ORIGINS",
            "",
            "CALLMON_GATEWAY__CORS_ORIGINS is empty; a list is given as JSON",
        ),
        (
            "CALLMON_GATEWAY__CORS_ORIGINS",
            '{"a": 1}',
            "CALLMON_GATEWAY__CORS_ORIGINS: write a list",
        ),
        (
            "CALLMON_GATEWAY",
            '{"prot": 1}',
            r"CALLMON_GATEWAY: gateway\.prot is not a setting; did you mean port\?",
        ),
        ("CALLMON_GATEWAY", "[1]", "CALLMON_GATEWAY: a section with settings of its own belongs"),
        (
            "CALLMON_KEYS",
            '[{"name": "k", "digest": "hush"}]',
            r"CALLMON_KEYS: keys\[0\]\.digest: write the SHA-256 of the key",
        ),
        (
            "CALLMON_PBX__MAIN__NAME",
            "main",
            "is not a setting; an entry has a number, such as CALLMON_PBX__0",
        ),
        (
            "CALLMON_PBX__7__NAME",
            "main",
            r"CALLMON_PBX__7__NAME: there is no pbx\[7\]; the next one is 0",
        ),
    ],
)
def test_a_mistake_in_the_environment_is_blamed_on_its_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    file = write(tmp_path, "[gateway]\nheartbeat_interval = 2.0\n")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=f"^{name}.*") as caught:
        GatewaySettings.load(file)
    said = str(caught.value)
    assert re.search(sentence, said), said
    assert str(file) not in said
    assert "hush" not in said


def test_the_file_and_the_environment_each_bear_their_own_mistakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "[gateway]\nport = 70000\nheartbeat_interval = 0\n[redis]\nulr = 'x'\n")
    monkeypatch.setenv("CALLMON_GATEWAY__PORT", "http")
    monkeypatch.setenv("CALLMON_GATWAY__PORT", "1")
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load(file)
    assert [line.split(":")[0] for line in sorted(str(caught.value).splitlines())] == [
        f"{file}",
        f"{file}",
        "CALLMON_GATEWAY__PORT is 'http'",
        "CALLMON_GATWAY__PORT is not a setting; did you mean CALLMON_GATEWAY__…?",
    ]


def test_settings_that_do_not_go_together_are_blamed_on_all_who_gave_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, PBX + KEY)
    monkeypatch.setenv("CALLMON_GATEWAY__PORT", "9000")
    monkeypatch.setenv("CALLMON_PBX__1", '{"name": "main"}')
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load(file)
    assert str(caught.value) == f"{file}: keys: the key 'k' names no pbx; known are: main, main"
    monkeypatch.setenv("CALLMON_KEYS", "[]")
    with pytest.raises(ConfigError) as caught:
        GatewaySettings.load(file)
    assert str(caught.value) == (
        f"{file} with CALLMON_PBX__1, CALLMON_KEYS: two [[pbx]] entries are named main; names "
        f"must differ"
    )


def test_every_setting_can_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CALLMON_PBX": '[{"name": "berlin", "url": "https://pbx:5001", "client_id": "c", '
        '"client_secret": "s"}]',
        "CALLMON_PBX__0__CLIENT_ID": "callmon",
        "CALLMON_PBX__0__FIGURES__ANSWER_TARGETS": '{"800": 15}',
        "CALLMON_PBX__1__NAME": "omsk",
        "CALLMON_PBX__1__URL": "https://omsk.example:5001",
        "CALLMON_PBX__1__KEY": "the-key-there",
        "CALLMON_KEYS__0__NAME": "wallboard",
        "CALLMON_KEYS__0__DIGEST": DIGEST,
        "CALLMON_KEYS__0__PBX": "omsk",
        "CALLMON_KEYS__0__LIMITS__QUEUES": '["800"]',
        "CALLMON_KEYS__0__EXPIRES": "2027-01-01T00:00:00+03:00",
        "CALLMON_GATEWAY": '{"port": 1, "stream": {"drain_time": 7}}',
        "CALLMON_GATEWAY__PORT": "9100",
        "CALLMON_GATEWAY__CORS_ORIGINS": '["https://wall.example.com"]',
        "CALLMON_METRICS__MONITOR_PORT": "9765",
    }.items():
        monkeypatch.setenv(name, value)
    gateway = GatewaySettings.load(
        write(tmp_path, "[gateway]\nport = 9000\nheartbeat_interval = 2.5\n")
    )
    section = gateway.gateway
    assert (section.port, section.heartbeat_interval, section.stream.drain_time) == (9100, 2.5, 7.0)
    assert section.cors_origins == ("https://wall.example.com",)
    [key] = gateway.keys
    assert (key.pbx, key.api_key().limits) == ("omsk", Limits(None, frozenset({"800"}), None))
    monitor = MonitorSettings.load(None)
    assert monitor.metrics.monitor_port == 9765
    berlin, omsk = monitor.pbx
    assert (berlin.client_id, berlin.secret(), berlin.figures.answer_targets) == (
        "callmon",
        "s",
        {"800": 15},
    )
    assert (omsk.webapi, omsk.secret()) == (True, "the-key-there")


def test_one_setting_of_the_files_list_can_be_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLMON_PBX__1__NAME", "tomsk")
    assert GatewaySettings.load(write(tmp_path, WHOLE)).pbx_names == ("berlin", "tomsk")


def test_what_kubernetes_puts_in_the_environment_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CALLMON_GATEWAY_PORT", "tcp://10.0.0.1:80")
    monkeypatch.setenv("CALLMON_SERVICE_HOST", "10.0.0.1")
    assert GatewaySettings.load(None).gateway.port == 8765


def test_a_key_may_be_for_several_pbxs(tmp_path: Path) -> None:
    text = '[[pbx]]\nname = "east"\ntenant = "acme"\n[[pbx]]\nname = "west"\n'
    text += f'[[keys]]\nname = "k"\ndigest = "{DIGEST}"\npbxs = ["tenant:acme", "west"]\n'
    settings = GatewaySettings.load(write(tmp_path, text))
    assert settings.tenants == {"east": "acme", "west": ""}
    key = settings.keys[0].api_key()
    assert (key.pbx, key.pbxs) == ("", ("tenant:acme", "west"))
    block = text.partition("[[keys]]")[0] + toml_block(key)
    assert GatewaySettings.load(write(tmp_path, block)).keys[0].api_key() == key


def test_a_key_may_leave_out_the_only_pbx(tmp_path: Path) -> None:
    text = f'[[pbx]]\nname = "main"\n[[keys]]\nname = "k"\ndigest = "{DIGEST}"\n'
    [key] = GatewaySettings.load(write(tmp_path, text)).keys
    assert (key.api_key().pbx, key.api_key().scopes, key.api_key().limits.any) == (
        "main",
        frozenset({"read"}),
        False,
    )


PBX = '[[pbx]]\nname = "main"\n'
KEY = f'[[keys]]\nname = "k"\ndigest = "{DIGEST}"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[gateway]\nprot = 1", "gateway.prot is not a setting; did you mean port?"),
        ("[gatway]\nport = 1", "gatway is not a setting; did you mean gateway?"),
        ('[gateway]\nport = "http"', "gateway.port is 'http': write a whole number"),
        (
            "[gateway]\nport = 70000",
            "gateway.port is 70000: write 65535 or less",
        ),
        (
            "[gateway]\nheartbeat_interval = 0",
            "gateway.heartbeat_interval is 0: write 1 or more",
        ),
        (PBX + KEY.replace("name", "nmae"), "keys[0].nmae is not a setting; did you mean name?"),
        (PBX + KEY + 'scopes = ["raed"]', "'raed'"),
        (PBX + KEY + "scopes = []", "keys[0].scopes"),
        (PBX + KEY + "expires = 2027-01-01T00:00:00", "keys[0].expires"),
        (
            PBX + KEY + "[keys.limits]\nextension = []",
            "keys[0].limits.extension is not a setting; did you mean ext",
        ),
        (
            PBX + KEY + 'pbxs = ["main", "mian"]',
            "the key 'k' is for the pbx 'mian'; known are: main",
        ),
        (PBX + KEY + 'pbxs = ["tenant:acme"]', "the key 'k' is for the tenant 'acme'; known are: "),
        (PBX + KEY + 'pbxs = ["East"]', '\'East\' is not a PBX; give a name, "tenant:NAME" or "*"'),
        (PBX + KEY + 'pbx = "main"\npbxs = ["*"]', "the key 'k' has both pbx and pbxs; give one"),
        (PBX + KEY + 'pbx = "mian"', "the key 'k' is for the pbx 'mian'; known are: main"),
        (PBX + PBX.replace("main", "two") + KEY, "the key 'k' names no pbx; known are: main, two"),
        (KEY, "the key 'k' names no pbx; known are: none"),
        (PBX + PBX, "two [[pbx]] entries are named main"),
        (PBX + KEY + KEY.replace(DIGEST, "0" * 64), "two [[keys]] entries are named k"),
        (PBX + KEY + KEY.replace('"k"', '"l"'), "the same digest"),
        (
            PBX + KEY.replace(DIGEST, sha256_hex("stream")),
            "the digest of 'stream', which is an address",
        ),
        ("[gateway]\nallowed_hosts = ['http://a.example']", "write it without scheme and port"),
        ("[gateway]\nallowed_hosts = ['a.example:80']", "'a.example:80' is no name or address"),
        (PBX.replace("main", "Main Office"), "pbx[0].name is 'Main Office'"),
        ("[[pbx]]\nurl = 'x'", "pbx[0].name is missing"),
        ("[gateway", "not TOML"),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert sentence in refusal(tmp_path, text)


def test_hosts_are_kept_as_browsers_name_them(tmp_path: Path) -> None:
    hosts = "['Wall.Example.com.', '10.0.0.1', '::1', '[2001:DB8:0::1]', 'localhost']"
    settings = GatewaySettings.load(write(tmp_path, f"[gateway]\nallowed_hosts = {hosts}"))
    assert settings.gateway.allowed_hosts == (
        "wall.example.com",
        "10.0.0.1",
        "[::1]",
        "[2001:db8::1]",
        "localhost",
    )


def test_a_key_that_stands_where_its_digest_belongs_is_not_shown(tmp_path: Path) -> None:
    said = refusal(tmp_path, PBX + KEY.replace(DIGEST, "some-key-of-some-client"))
    assert "keys[0].digest" in said
    assert "some-key-of-some-client" not in said


def test_a_mistake_in_a_whole_entry_does_not_show_its_secrets(tmp_path: Path) -> None:
    assert DIGEST not in refusal(tmp_path, PBX + KEY + 'pbx = "other"')
    assert DIGEST not in refusal(tmp_path, PBX + KEY + KEY)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read"):
        GatewaySettings.load(tmp_path / "absent.toml")


_NAMES = st.sampled_from(
    [
        *(
            "redis",
            "url",
            "ca_file",
            "log",
            "level",
            "metrics",
            "host",
            "pbx",
            "name",
            "client_id",
            "client_secret",
        ),
        *(
            "key",
            "did_map",
            "poll_interval",
            "database",
            "user",
            "password",
            "tls",
            "figures",
            "time_zone",
            "monitor",
        ),
        *(
            "lease_duration",
            "state_dir",
            "gateway",
            "port",
            "keys",
            "digest",
            "scopes",
            "expires",
            "limits",
        ),
        *("networks", "budgets", "stream", "origins", "cors_origins"),
    ]
)
_VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.datetimes()
    | st.text(max_size=9)
    | st.sampled_from(["main", DIGEST])
    | st.sampled_from(
        ["https://pbx:5001", "https://[::1", "0.0.0.0/0", "Europe/Berlin", "read", "hunter2"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=15,
)
_PBXS = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=7), max_size=2)


@settings(max_examples=50)
@given(st.dictionaries(_NAMES, _VALUES, max_size=4), _PBXS)
def test_any_settings_are_taken_or_refused_in_sentences(
    given_: dict[str, Any], pbxs: list[dict[str, Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("monitor.shared.settings.loader._read", lambda _: {**given_, "pbx": pbxs})
        for kind in (GatewaySettings, MonitorSettings):
            with contextlib.suppress(ConfigError):
                kind.load(Path("callmon.toml"))
