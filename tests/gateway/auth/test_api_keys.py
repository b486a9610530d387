"""Test how API keys are made, found, judged and written down, and that they are never shown."""

from __future__ import annotations

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.api_keys import (
    ApiKey,
    KeyTable,
    authenticate,
    bearer,
    from_stored,
    new_key,
    sha256_hex,
    to_stored,
    toml_block,
)
from gateway.config import GatewaySettings
from gateway.errors import (
    KeyAmbiguous,
    KeyExpired,
    KeyMissing,
    KeyRefused,
    KeyUnknown,
    NoKeys,
    ScopeMissing,
)
from gateway.visibility import Limits

NOW = "2026-03-04T03:15:00.000Z"
RAW = "an-api-key-of-a-client"
KEY = ApiKey("wallboard", sha256_hex(RAW), "main", frozenset({"read"}))


def test_a_key_is_found_by_its_text_alone() -> None:
    other = ApiKey("other", sha256_hex("other"), "main", frozenset())
    assert KeyTable([other, KEY]).find(RAW, NOW) is KEY
    for wrong in (
        "",
        RAW[:-1],
        RAW + "x",
        RAW.upper(),
        KEY.digest,
        "ключ",
        "\ud800",
        "x" * 100_000,
    ):
        with pytest.raises(KeyUnknown):
            KeyTable([other, KEY]).find(wrong, NOW)


@given(st.text())
def test_no_text_but_the_key_opens(text: str) -> None:
    with pytest.raises(KeyRefused):
        authenticate(KeyTable([KEY]), [text], NOW)


def test_a_long_text_is_not_cut_down_to_a_key() -> None:
    long = "k" * 256
    table = KeyTable([ApiKey("long", sha256_hex(long), "main", frozenset())])
    assert table.find(long, NOW).name == "long"
    with pytest.raises(KeyUnknown):
        table.find(long + "k", NOW)


def test_a_key_ends_at_its_instant() -> None:
    table = KeyTable([ApiKey("k", sha256_hex(RAW), "main", frozenset(), expires=NOW)])
    assert table.find(RAW, "2026-03-04T03:14:59.999Z").name == "k"
    with pytest.raises(KeyExpired) as caught:
        table.find(RAW, NOW)
    assert RAW not in str(caught.value)


def test_nothing_is_said_of_any_key_until_the_table_is_loaded() -> None:
    table = KeyTable(None)
    assert not table.loaded
    for given_keys in ([RAW], [], ["a", "b"]):
        with pytest.raises(NoKeys):
            authenticate(table, given_keys, NOW)
    with pytest.raises(NoKeys):
        table.find(RAW, NOW)
    table.replace([KEY])
    assert authenticate(table, [RAW], NOW) is KEY


def test_a_request_gives_one_key_by_any_number_of_ways() -> None:
    table = KeyTable([KEY])
    assert authenticate(table, [None, RAW, "", RAW], NOW) is KEY
    with pytest.raises(KeyMissing):
        authenticate(table, [None, ""], NOW)
    with pytest.raises(KeyAmbiguous):
        authenticate(table, [RAW, "another"], NOW)


def test_a_scope_is_had_or_not() -> None:
    table = KeyTable([KEY])
    assert authenticate(table, [RAW], NOW, "read") is KEY
    with pytest.raises(ScopeMissing, match=r"'admin'; your key has: read\."):
        authenticate(table, [RAW], NOW, "admin")


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Basic abc", None),
        ("Bearer abc", "abc"),
        (" BEARER   abc ", "abc"),
        ("bearerabc", None),
    ],
)
def test_the_bearer_header_is_read_as_rfc_6750_writes_it(
    header: str | None, key: str | None
) -> None:
    assert bearer(header) == key


def test_new_keys_are_long_random_and_fit_in_an_address() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    for raw in made:
        assert re.fullmatch("[A-Za-z0-9_-]{32}", raw)


def test_a_key_as_text_does_not_show_the_key() -> None:
    assert RAW not in repr(KEY)
    assert RAW not in repr(KeyTable([KEY]))


@given(
    name=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20
    ).filter(lambda text: text.strip() == text)
)
def test_the_written_entry_is_read_back_as_the_same_key(name: str) -> None:
    limits = Limits(frozenset({"101", "99"}), None, frozenset())
    scopes = frozenset({"read", "admin"})
    key = ApiKey(name, sha256_hex(RAW), "main", scopes, NOW, limits, time="seconds")
    assert from_stored(to_stored(key, 1.0), "main") == key
    block = toml_block(key)
    assert RAW not in block
    settings = GatewaySettings(**tomllib.loads('[[pbx]]\nname = "main"\n' + block))
    assert settings.keys[0].api_key() == key
    plain = tomllib.loads(toml_block(KEY))["keys"][0]
    assert plain == {"name": "wallboard", "digest": KEY.digest, "pbx": "main", "scopes": ["read"]}
