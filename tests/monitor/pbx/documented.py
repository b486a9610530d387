"""Serve the documented interface and nothing else, as the product on an older 3CX does.

The key stands in the path, a leg has four fields, there is no ETag, commands are GETs, and what it
cannot do it does not know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

KEY = "the-key-there"


def leg(number: str, kind: str, other: str, status: str = "Connected") -> dict[str, str]:
    return {"dnNum": number, "dnType": kind, "externalParty": other, "status": status}


@dataclass(slots=True)
class Documented:
    """The service. What it holds may be changed at any time."""

    url: str = ""
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    extensions: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    queues: dict[str, list[str]] = field(default_factory=lambda: {"800": ["101", "102"]})
    final_status: str = "Success"
    tells: dict[str, str] = field(default_factory=dict)
    """Headers of every answer."""
    contacts: dict[int, dict[str, str]] = field(default_factory=dict)
    unserved: set[str] = field(default_factory=set)
    refusals: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Command → the status and headers with which it is answered from now on."""
    asked: Counter[str] = field(default_factory=Counter)
    orders: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def call(
        self,
        id_: int,
        direction: str,
        state: str,
        *legs: dict[str, str],
        answered: str | None = None,
    ) -> None:
        """A call that goes on, begun by its first leg."""
        own, *others = legs
        self.calls[id_] = {
            "callID": id_,
            "direction": direction,
            "state": state,
            "legs": list(legs),
            "startedAt": "2022-12-29T08:37:16Z",
            "answeredAt": answered,
            "owner": own,
            "talkTo": [other for other in others if other["status"] == "Connected" and answered],
            "routingTo": [other for other in others if other["status"] == "Ringing"],
        }

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        self.headers.append(dict(request.headers))
        key, _, command = request.match_info["tail"].partition("/")
        if key != KEY:
            return web.Response(status=403, text="Forbidden")
        self.asked[command] += 1
        if command in self.refusals:
            status, headers = self.refusals[command]
            return web.Response(status=status, headers=headers)
        made = self._made().get(command)
        if made is None or command in self.unserved:
            return web.Response(status=404, text="Not found")
        return web.json_response(made({**request.query}), headers=self.tells)

    def _made(self) -> dict[str, Callable[[dict[str, str]], Any]]:
        return {
            "": lambda _: {
                "product": "3CX REST API",
                "version": "3.0.8 20.1",
                "concurrentCalls": 32,
            },
            "pbx.calls.get": lambda _: {"result": len(self.calls)},
            "pbx.ac.get": lambda _: {
                "count": len(self.calls),
                "AConnByCallID": [self._ac(c) for c in self.calls.values()],
            },
            "pbx.callsinfo.get": lambda _: {
                "count": len(self.calls),
                "callsInfo": [self._info(c) for c in self.calls.values()],
            },
            "all.ext.get": lambda _: {"nums": list(self.extensions)},
            "all.registered.get": lambda _: {
                "nums": [num for num in self.extensions if num != "103"]
            },
            "all.group.get": lambda _: {"nums": ["600"]},
            "all.queue.get": lambda _: {"nums": list(self.queues)},
            "all.ivr.get": lambda _: {"nums": ["777", "HOL"]},
            "all.line.get": lambda _: {"nums": ["10000"]},
            "all.extgroup.get": lambda _: {"extGroups": ["__DEFAULT__", "Sales"]},
            "ext.info.get": lambda given: self.extensions.get(given["num"], {"result": False}),
            "ext.state.get": lambda given: self.states.get(given["num"], {"result": False}),
            "queue.members.get": lambda given: {"nums": self.queues[given["num"]]},
            "queue.managers.get": lambda _: {"nums": ["101"]},
            "group.members.get": lambda _: {"nums": ["101", "103"]},
            "extgroup.members.get": lambda given: {
                "nums": ["101"] if given["name"] == "Sales" else list(self.extensions)
            },
            "contact.find": self._find,
            "contact.get": lambda given: self.contacts.get(int(given["id"]), {"result": False}),
            "ext.fwd.set": self._forward,
            "ext.queueglobal.set": lambda given: self._noted(
                "ext.queueglobal.set", given, {"result": False}
            ),
            "queue.agents.set": self._agents,
            "makecall": lambda given: self._noted(
                "makecall", given, {"finalStatus": self.final_status}
            ),
            "contact.new": self._new,
        }

    def _ac(self, call: dict[str, Any]) -> dict[str, Any]:
        return {
            "callID": call["callID"],
            "direction": call["direction"],
            "did": "",
            "AConnList": call["legs"],
        }

    def _info(self, call: dict[str, Any]) -> dict[str, Any]:
        names = ("callID", "state", "startedAt", "answeredAt", "owner", "talkTo", "routingTo")
        return {name: call[name] for name in names} | {"did": ""}

    def _find(self, given: dict[str, str]) -> dict[str, Any]:
        found = [id_ for id_, row in self.contacts.items() if row["phone"].endswith(given["num"])]
        return {"ids": found}

    def _noted(self, command: str, given: dict[str, str], reply: dict[str, Any]) -> dict[str, Any]:
        self.orders.append(("GET", command, given))
        return reply

    def _forward(self, given: dict[str, str]) -> dict[str, Any]:
        known = given["num"] in self.states and given["status"] in ("Available", "Away")
        if known:
            self.states[given["num"]]["fwdName"] = given["status"]
        return self._noted("ext.fwd.set", given, {"result": known})

    def _agents(self, given: dict[str, str]) -> dict[str, Any]:
        self.queues[given["num"]] = given["agents"].split(",")
        return self._noted("queue.agents.set", given, {"result": True})

    def _new(self, given: dict[str, str]) -> dict[str, Any]:
        id_ = max(self.contacts, default=0) + 1
        self.contacts[id_] = {"firstname": "", "lastname": "", "company": "", "phone": ""} | given
        return self._noted("contact.new", given, {"result": id_})


@asynccontextmanager
async def documented() -> AsyncIterator[Documented]:
    """The service with three extensions and no call, on a free port."""
    service = Documented()
    for number, name in (("101", "Tom"), ("102", "Ann"), ("103", "Eve")):
        service.extensions[number] = {
            "num": number,
            "name": name,
            "lastname": "Smith",
            "reinvite": 1,
            "vmemail": 2,
        }
        service.states[number] = {
            "num": number,
            "registered": number != "103",
            "status": "Free",
            "fwdName": "Available",
            "qGlobalStatus": "LoggedIn",
            "qStatus": [{"num": "800", "status": "LoggedIn" if number == "101" else "LoggedOut"}],
        }
    service.contacts = {
        12: {"firstname": "Li", "lastname": "Wei", "company": "", "phone": "+49301234"}
    }
    app = web.Application()
    app.router.add_get("/webapi/{tail:.*}", service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    service.url = f"http://127.0.0.1:{port}"
    try:
        yield service
    finally:
        await runner.cleanup()
