"""Test token rules, without a network."""

from __future__ import annotations

import jwt
import pytest

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.pbx_data.generator import make_directory
from monitor.simulator.tokens import GrantRefused, Licence, Tokens

NOW = 1_770_000_000.0
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "callmon",
    "client_secret": "s3cret",
}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def make(
    switches: Switches | None = None, *, lifetime: float = 3600, licence: Licence = "enterprise"
) -> tuple[Tokens, Clock]:
    directory = make_directory(1, 4, 1, contacts=0)
    directory.secrets["callmon"] = "s3cret"
    clock = Clock()
    return Tokens(directory, switches or Switches(), clock, lifetime, licence), clock


def mint(tokens: Tokens) -> str:
    return str(tokens.grant(CREDENTIALS)["access_token"])


def test_a_token_names_its_client_until_it_expires() -> None:
    tokens, clock = make()
    token = mint(tokens)
    principal = tokens.principal(token)
    assert principal is not None
    assert principal.client_id == "callmon"
    clock.now += 3599
    assert tokens.principal(token) is not None
    clock.now += 1
    assert tokens.principal(token) is None


def test_a_token_is_a_jwt_whose_exp_is_true_and_whose_roles_are_the_clients() -> None:
    tokens, _ = make(lifetime=90)
    token = mint(tokens)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] == NOW + 90
    assert {"Users", "Trunks", "Enterprise"} <= set(claims["role"])
    assert claims["MaxRole"] == "system_owners"
    assert jwt.get_unverified_header(token)["alg"] == "ES256"


def test_a_fraction_of_a_second_is_rounded_up_as_exp_holds_whole_ones() -> None:
    tokens, clock = make(lifetime=0.5)
    token = mint(tokens)
    assert jwt.decode(token, options={"verify_signature": False})["exp"] == NOW + 1
    clock.now += 0.9
    assert tokens.principal(token) is not None


def test_a_small_licence_lacks_the_role_enterprise() -> None:
    tokens, _ = make(licence="professional")
    claims = jwt.decode(mint(tokens), options={"verify_signature": False})
    assert "Enterprise" not in claims["role"]


def test_minting_makes_the_token_before_worthless() -> None:
    tokens, _ = make()
    first, second = mint(tokens), mint(tokens)
    assert first != second
    assert tokens.principal(first) is None
    assert tokens.principal(second) is not None


def test_expires_in_counts_seconds_or_minutes() -> None:
    answer = make()[0].grant(CREDENTIALS)
    assert answer.keys() == {"token_type", "expires_in", "access_token", "refresh_token"}
    assert (answer["token_type"], answer["expires_in"], answer["refresh_token"]) == (
        "Bearer",
        3600,
        None,
    )
    assert make(Switches(expires_in="minutes"))[0].grant(CREDENTIALS)["expires_in"] == 60


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "100"}, 401, "invalid_client"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, str], status: int, error: str) -> None:
    tokens, _ = make()
    with pytest.raises(GrantRefused) as refused:
        tokens.grant(CREDENTIALS | change)
    assert (refused.value.status, refused.value.error) == (status, error)


def test_a_deleted_client_gets_no_token() -> None:
    directory = make_directory(1, 4, 1, contacts=0)
    directory.secrets["callmon"] = "s3cret"
    tokens = Tokens(directory, Switches(), Clock())
    directory.remove("callmon")
    with pytest.raises(GrantRefused):
        tokens.grant(CREDENTIALS)


def test_expiring_tells_who_listens_and_revoking_tells_nobody() -> None:
    tokens, _ = make()
    told: list[str] = []
    tokens.on_expire(lambda: told.append("expired"))
    token = mint(tokens)
    tokens.revoke()
    assert tokens.principal(token) is None
    assert told == []
    token = mint(tokens)
    tokens.expire()
    assert tokens.principal(token) is None
    assert told == ["expired"]


def test_no_token_survives_a_restart() -> None:
    tokens, _ = make()
    token = mint(tokens)
    tokens.restart()
    assert tokens.principal(token) is None
    assert tokens.principal("") is None
