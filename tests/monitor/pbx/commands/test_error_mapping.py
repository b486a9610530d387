from __future__ import annotations

from typing import Any

import pytest

from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused
from monitor.simulator.pbx_data.directory import Directory
from tests.monitor.pbx.commanding import SECRETS, Desk


def role(directory: Directory, name: str) -> None:
    """Give the API client another role."""
    entity = directory.entity("callmon")
    assert entity is not None
    entity["Groups"][0]["Rights"] = {"RoleName": name}


ASKS: list[tuple[str, dict[str, str]]] = [
    ("ext.fwd.set", {"num": "101", "status": "Away"}),
    ("ext.queueglobal.set", {"num": "101", "log": "off"}),
    ("ext.options.set", {"num": "101", "enabled": "off"}),
    ("ext.update", {"num": "101", "firstname": "A"}),
    ("ext.new", {"num": "555"}),
    ("ext.del", {"num": "101"}),
]


async def test_a_role_that_is_too_small_is_named(desk: Desk) -> None:
    role(desk.pbx.directory, "managers")
    desk.pbx.tokens.revoke()
    for command, arguments in ASKS:
        refused = await desk.refused(command, **arguments)
        assert (refused.code, refused.kind) == ("not_permitted", "conflict")
        assert "system_admins" in str(refused)


async def test_a_write_that_is_not_permitted_is_told_so(desk: Desk) -> None:
    for command, arguments in ASKS:
        method = {"ext.new": "POST", "ext.del": "DELETE"}.get(command, "PATCH")
        desk.pbx.faults.answer_with(403, 1, "/xapi/v1/Users", method=method)
        assert (await desk.refused(command, **arguments)).code == "not_permitted"


WARNINGS = [
    ("WARNINGS.XAPI.DUPLICATE", "already_exists", "conflict"),
    ("WARNINGS.LIMIT_REACHED", "limit_reached", "conflict"),
    ("WARNINGS.XAPI.OUT_OF_THE_RANGE", "out_of_range", "bad"),
    ("WARNINGS.STRING_TOO_LONG", "too_long", "bad"),
    ("WARNINGS.XAPI.INVALID_PIN_NUMBER", "bad_value", "bad"),
    ("WARNINGS.SOMETHING_NEW", "pbx_refused", "conflict"),
    ("", "bad_value", "bad"),
]


async def test_3cx_words_become_sentences(desk: Desk) -> None:
    for warning, code, kind in WARNINGS:
        body = {
            "error": {
                "code": "",
                "message": warning,
                "details": [{"message": warning, "target": "VMPIN"}],
            }
        }
        desk.pbx.faults.answer_with(400, 1, "/xapi/v1/Users(", method="PATCH", body=body)
        refused = await desk.refused("ext.update", num="101", vmpin="4711")
        assert (refused.code, refused.kind) == (code, kind)
        assert warning in str(refused)
        assert "VMPIN" in str(refused)


async def test_secrets_are_in_no_refusal_and_no_log(desk: Desk, caplog: Any, capsys: Any) -> None:
    texts = []
    for status in (400, 403, 404, 409, 422):
        body = {"error": {"code": "hunter2!", "message": "'hunter2' and '4711' are not values"}}
        desk.pbx.faults.answer_with(status, 1, "/xapi/v1/Users(", method="PATCH", body=body)
        texts.append(str(await desk.refused("ext.update", num="101", **SECRETS)))
    desk.pbx.faults.answer_with(500, 1, "/xapi/v1/Users(", method="PATCH")
    with pytest.raises(CommandOutcomeUnknown) as caught:
        await desk.do("ext.update", num="101", **SECRETS)
    logged = capsys.readouterr()
    told = "".join(
        (*texts, str(caught.value), caplog.text, logged.out, logged.err, *map(repr, desk.facts))
    )
    assert not any(secret in told for secret in SECRETS.values())


async def test_an_unknown_command_is_refused(desk: Desk) -> None:
    with pytest.raises(CommandRefused, match=r"cannot do ext\.dance"):
        await desk.do("ext.dance")
