"""JSON answers and refusals, as clients and caches read them."""

from __future__ import annotations

import pytest

from gateway.errors import (
    KeyUnknown,
    NoState,
    Refused,
    TooManyRequests,
    UnknownExtension,
    WrongMethod,
)
from gateway.responses import FAULT, fault, guarded, json_response, refuse
from monitor.shared.codec import from_json


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (KeyUnknown("No."), 401, "key_unknown"),
        (UnknownExtension("No."), 404, "unknown_extension"),
        (TooManyRequests("No."), 429, "too_many_requests"),
        (NoState("No."), 503, "no_state"),
    ],
)
def test_a_refusal_has_its_status_its_code_and_its_sentence(
    error: Refused, status: int, code: str
) -> None:
    response = refuse(error, "GET")
    assert response.status_code == status
    assert response.body == (
        b'{"result":false,"error":{"code":"%s","message":"No."}}' % code.encode()
    )
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


def test_a_refusal_brings_the_headers_that_it_needs() -> None:
    response = refuse(WrongMethod("No.", {"Allow": "GET"}), "PUT")
    assert response.headers["allow"] == "GET"
    assert response.headers["cache-control"] == "no-store"


def test_to_a_head_the_same_is_said_without_the_body() -> None:
    whole, head = (refuse(NoState("Nicht schön."), method) for method in ("GET", "HEAD"))
    assert head.body == b""
    assert head.status_code == whole.status_code
    assert head.headers == whole.headers
    assert int(head.headers["content-length"]) == len(whole.body)


def test_a_fault_says_nothing_of_itself() -> None:
    response = fault("GET")
    assert response.status_code == 500
    assert from_json(bytes(response.body)) == {
        "result": False,
        "error": {"code": "internal", "message": FAULT},
    }
    assert fault("HEAD").body == b""


def test_an_answer_is_kept_by_nobody_unless_it_says_so() -> None:
    assert json_response(b"{}").headers["cache-control"] == "no-store"
    kept = json_response(b"{}", headers={"Cache-Control": "private", "ETag": '"x"'})
    assert (kept.headers["cache-control"], kept.headers["etag"]) == ("private", '"x"')
    assert json_response(b"{}", headers={"Content-Length": "7"}).headers["content-length"] == "2"


def test_answers_are_guarded_where_they_do_not_say_otherwise() -> None:
    all_guards = dict(guarded([]))
    assert all_guards[b"referrer-policy"] == b"no-referrer", "keys may stand in addresses"
    own = [(b"content-security-policy", b"default-src 'self'"), (b"etag", b'"x"')]
    assert guarded(own)[:2] == own
    assert dict(guarded(own)) == all_guards | dict(own)
    assert len(guarded(own)) == len(all_guards) + 1
