"""Make the documents' examples of requests and answers, from a small PBX. Pure.

A query's example answer is not written down: the query itself answers it from the small PBX.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from gateway.docs.example_data import book_state, contacts, fleet_state, live_state
from gateway.operations.operation_table import TIME, Command
from gateway.parameters import Arguments, Parameter
from gateway.queries.context import QueryContext
from gateway.visibility import EVERYTHING
from monitor.shared.codec import from_json, to_json
from monitor.shared.phone_index import PhoneIndex

_VALUES: Final[dict[str, str]] = {
    "num": "101",
    "queue": "800",
    "status": "Out of office",
    "message": "Back on Monday",
    "firstname": "Anna",
    "lastname": "Fischer",
    "email": "anna.fischer@example.com",
    "mobile": "+4915112345678",
    "authid": "dQ7xW2mK",
    "authpass": "a-long-secret",
    "callerid": "+493055501101",
    "sipid": "anna.fischer",
    "vmpin": "4711",
    "noanswertimeout": "20",
    "agents": "101,102",
    "managers": "103",
    "members": "101,102",
    "name": "Sales",
    "first": "101",
    "second": "+493055512345",
    "id": "12",
    "company": "Example GmbH",
    "crmcontactdata": "CRM-4711",
    "tag": "vip",
    "phone": "+4915112345678",
    "data5": "anna.fischer@example.com",
    "query": "select recording_url, cl_participants_id from recordings where recording_url "
    "like '101%'",
    "count": "3",
    "min_len": "7",
}
_NUMBERS: Final = {"queues": "800", "groups": "600", "extensions": "101"}
_OF_COMMANDS: Final[dict[tuple[str, str], str]] = {
    ("ext.new", "num"): "150",
    ("ext.del", "num"): "150",
    ("contact.find", "num"): "+4915112345678",
}
_MOST_OPTIONAL: Final = 2


def value_of(command: str, parameter: Parameter) -> str:
    """Return a value that the parameter accepts."""
    match parameter.kind:
        case "choice":
            return parameter.allowed[-1 if parameter is TIME else 0]
        case "dn":
            usual = _NUMBERS.get(parameter.topic, "101")
        case "dns":
            usual = "101,102"
        case "phone" | "destination":
            usual = "+493055512345"
        case "whole":
            usual = "1"
        case _:
            usual = "text"
    by_name = usual if parameter.kind == "dn" else _VALUES.get(parameter.name, usual)
    value = _OF_COMMANDS.get((command, parameter.name), by_name)
    return value if parameter.accepts(value) else usual


def arguments_of(command: Command) -> dict[str, str]:
    """Return an example of a request: what is required, and some optional fields of a change.

    Without the optional fields such a request could say nothing.
    """
    required = [parameter for parameter in command.parameters if parameter.required]
    rest = [parameter for parameter in command.parameters if not parameter.required]
    some = rest[:_MOST_OPTIONAL] if command.changes and command.name != "ext.fwd.set" else []
    return {parameter.name: value_of(command.name, parameter) for parameter in (*required, *some)}


def answer_of(command: Command) -> Any:
    """Return the query's answer to :func:`arguments_of`.

    Returns None if the command is not a query, or if the small PBX has no answer to it.
    """
    if command.query is None:
        return None
    arguments = Arguments(tuple(arguments_of(command).items()))
    try:
        answer = command.query(
            QueryContext(
                *(live_state(), book_state(), PhoneIndex(contacts())),
                visibility=replace(EVERYTHING, pbxs=frozenset({"main"})),
                arguments=arguments,
                fleet=fleet_state(),
            )
        )
        return from_json(to_json(answer))
    except Exception:  # a site's own query may need what the small PBX does not have
        return None
