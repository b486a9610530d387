"""Which PBX a request is for: what a key reaches, what must be named, what is told of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.api_keys import ApiKey, sha256_hex
from gateway.auth.pbx_choice import PbxChoice, served_of
from gateway.errors import BadParameter, PbxNotNamed, UnknownPbx

TENANTS = {"east": "acme", "west": "acme", "north": "other", "south": ""}


def key(*words: str, home: str = "") -> ApiKey:
    return ApiKey("k", sha256_hex("k"), home, frozenset({"read"}), pbxs=words)


ONE = ApiKey("one", sha256_hex("one"), "east", frozenset({"read"}))


@pytest.mark.parametrize(
    ("words", "reached"),
    [
        (("*",), ["east", "west", "north", "south"]),
        (("tenant:acme",), ["east", "west"]),
        (("tenant:acme", "south"), ["east", "west", "south"]),
        (("south", "gone"), ["south"]),
        (("acme",), []),
        (("tenant:nobody",), []),
        (("tenant:",), []),
    ],
)
def test_words_mean_names_tenants_or_all(words: tuple[str, ...], reached: list[str]) -> None:
    assert list(served_of(words, TENANTS)) == reached
    assert PbxChoice(TENANTS).reach(key(*words)) == set(reached)


def test_a_key_for_one_pbx_may_name_it_and_no_other() -> None:
    choice = PbxChoice(TENANTS)
    assert choice.chosen(ONE, ()) is choice.chosen(ONE, ("east",)) is ONE
    with pytest.raises(UnknownPbx, match=r"There is no PBX 'west'\. This key is for east\."):
        choice.chosen(ONE, ("west",))
    with pytest.raises(UnknownPbx, match="not served here"):
        PbxChoice({"west": ""}).chosen(ONE, ())


def test_a_key_for_several_is_told_how_to_name_one() -> None:
    choice = PbxChoice(TENANTS)
    with pytest.raises(PbxNotNamed) as refused:
        choice.chosen(key("tenant:acme"), ("", None))
    assert str(refused.value) == (
        "This key is for several PBXs: name one in the address, as "
        "/webapi/{key}/{pbx}/{command}, or in the header Callmon-Pbx. This key is for east, west."
    )
    many = PbxChoice({f"p{number:02}": "" for number in range(13)})
    with pytest.raises(PbxNotNamed, match=r"p00, .*, p09 and 3 more\.$"):
        many.chosen(key("*"), ())


def test_two_different_names_are_refused() -> None:
    with pytest.raises(BadParameter, match="'east' and 'west'"):
        PbxChoice(TENANTS).chosen(key("*"), ("west", "east"))
    assert PbxChoice(TENANTS).chosen(key("*"), ("west", "west")).pbx == "west"


@given(
    st.lists(st.sampled_from(["*", "tenant:acme", "tenant:other", *TENANTS, "gone"]), min_size=1),
    st.sampled_from([*TENANTS, "gone", "acme", "*", "tenant:acme"]),
)
def test_a_pbx_outside_the_set_looks_like_none(words: list[str], named: str) -> None:
    choice, several = PbxChoice(TENANTS), key(*words, home="east")
    if named in served_of(words, TENANTS):
        chosen = choice.chosen(several, (named,))
        assert (chosen.pbx, chosen.home, chosen.reach) == (named, "east", choice.reach(several))
        assert chosen.unchosen == several
        return
    with pytest.raises(UnknownPbx) as refused:
        choice.chosen(several, (named,))
    with pytest.raises(UnknownPbx) as nowhere:
        choice.chosen(several, ("nowhere",))
    assert str(refused.value).replace(named, "nowhere", 1) == str(nowhere.value)
