"""API keys as they are stored, and which of two changes of one counts."""

from __future__ import annotations

import random
from functools import reduce
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.shared.api_keys import Budgets, StoredKey, decode_key, encode_key, newest, of_table
from monitor.shared.codec import Malformed, to_msgpack


@pytest.mark.parametrize("digest", ["", "ж" * 64, "A" * 64, "a" * 63, 7])
def test_a_key_whose_digest_is_none_is_malformed(digest: object) -> None:
    key = {"name": "wall", "digest": digest, "scopes": ["read"], "changed_at": 1.0}
    with pytest.raises(Malformed):
        decode_key(to_msgpack(key))
    decode_key(to_msgpack(key | {"digest": "a" * 64}))


GRANT = StoredKey("wall", "a" * 64, ("read",), 1_700_000_000.0)
REVOKED = replace(GRANT, revoked=True)
CHANGES = st.builds(
    replace,
    st.just(GRANT),
    changed_at=st.sampled_from([1.0, 2.0]),
    revoked=st.booleans(),
    scopes=st.sampled_from([("read",), ("read", "control")]),
)


def test_a_key_is_read_as_it_was_written() -> None:
    key = replace(
        GRANT,
        expires="2027-01-01T00:00:00.000Z",
        extensions=("100",),
        queues=(),
        networks=("192.0.2.0/24", "2001:db8::/32"),
        budgets=Budgets(reads=0, query=3),
        time="seconds",
    )
    assert decode_key(encode_key(key)) == key


def test_a_key_that_was_written_before_it_had_a_form_of_instants_is_read() -> None:
    old = msgspec.msgpack.decode(encode_key(GRANT))
    del old["time"]
    assert decode_key(to_msgpack(old)) == GRANT
    with pytest.raises(Malformed, match="time"):
        decode_key(to_msgpack(old | {"time": "minutes"}))


class KeyOfOlderVersion(msgspec.Struct, frozen=True):
    """The fields of a key before a key could be for several PBXs."""

    name: str
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: tuple[str, ...]
    changed_at: float
    expires: str | None = None
    revoked: bool = False
    time: Literal["milliseconds", "seconds"] = "milliseconds"


def test_an_older_version_reads_keys_for_one_pbx_and_refuses_those_for_several() -> None:
    older = msgspec.msgpack.Decoder(KeyOfOlderVersion)
    assert older.decode(encode_key(GRANT)).digest == GRANT.digest
    several = replace(GRANT, pbxs=("*", "east", "tenant:acme"))
    assert decode_key(encode_key(several)) == several
    for words in several.pbxs:
        with pytest.raises(msgspec.ValidationError, match="digest"):
            older.decode(encode_key(replace(GRANT, pbxs=(words,))))


def test_a_key_whose_pbxs_were_added_or_taken_away_is_malformed() -> None:
    one = msgspec.msgpack.decode(encode_key(GRANT))
    several = msgspec.msgpack.decode(encode_key(replace(GRANT, pbxs=("east", "west"))))
    for forged in (one | {"pbxs": ["*"]}, several | {"pbxs": []}):
        with pytest.raises(Malformed, match="PBXs"):
            decode_key(to_msgpack(forged))
    for words in (["East"], ["tenant:"], ["a" * 33], ["*", ""], ["east"] * 1_001):
        with pytest.raises(Malformed):
            decode_key(to_msgpack(several | {"pbxs": words}))


def test_a_budget_not_given_is_not_zero() -> None:
    budgets = Budgets(reads=0, query=3)
    assert [budgets.of(kind) for kind in ("reads", "commands", "makecall", "query")] == [
        0,
        None,
        None,
        3,
    ]


@pytest.mark.parametrize("at", [-1.0, 1e11 + 1e6, float("inf"), float("nan")])
def test_a_time_of_change_that_no_later_one_could_exceed_is_malformed(at: float) -> None:
    with pytest.raises(Malformed, match="changed_at"):
        decode_key(encode_key(replace(GRANT, changed_at=at)))


@pytest.mark.parametrize("expires", ["", "tomorrow", "2027-01-01", "9999-12-31T23:59:59Z"])
def test_an_expiry_that_is_no_instant_is_malformed(expires: str) -> None:
    """It would be a key that never ends, or one of which nobody knows when it ends."""
    with pytest.raises(Malformed, match="expires"):
        decode_key(encode_key(replace(GRANT, expires=expires)))


@pytest.mark.parametrize("network", ["", "192.0.2.7/24", "everywhere", "300.0.0.0/8"])
def test_a_network_that_is_none_is_malformed(network: str) -> None:
    with pytest.raises(Malformed, match="not a key"):
        decode_key(encode_key(replace(GRANT, networks=("10.0.0.0/8", network))))


def test_a_key_counts_under_its_own_name_only() -> None:
    data = encode_key(replace(GRANT, name="ж"))
    assert of_table("ж", data) == of_table("ж".encode(), data)
    for name in ("wall", b"\xff"):
        with pytest.raises(Malformed, match="that of 'ж'"):
            of_table(name, data)


def test_an_older_grant_does_not_revive_a_revoked_key() -> None:
    later = replace(GRANT, changed_at=GRANT.changed_at + 1)
    assert newest(GRANT, None) is GRANT
    assert newest(GRANT, REVOKED) is newest(REVOKED, GRANT) is REVOKED
    wider = replace(GRANT, scopes=("read", "control"))
    assert newest(wider, REVOKED) is newest(REVOKED, wider) is REVOKED
    assert newest(later, REVOKED) is newest(REVOKED, later) is later


@given(st.lists(CHANGES, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_all_who_know_the_same_changes_agree_in_whatever_order_they_came(
    changes: list[StoredKey], dice: random.Random
) -> None:
    shuffled = changes.copy()
    dice.shuffle(shuffled)
    assert reduce(newest, changes) == reduce(newest, shuffled)
