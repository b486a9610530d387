"""Use the simulated PBX as its people do: log in, call, answer, hang up, read calls and contacts.

What they do and see is what really happened; callmon is compared with it.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp

Ending = Literal["answered", "missed", "abandoned", "unanswered"]
"""How a call ended, in the words of ``pbx.ended.get``."""
QUEUE = "800"
ANSWERING = ("100", "101", "102", "104", "105")
"""Extensions of the simulated PBX (seed 72) with one desk phone that can be told to answer."""
SEED = 72


@dataclass(slots=True)
class Call:
    """A call of the observer's making. Instants are of the monotonic clock; None: not yet."""

    caller: str
    callee: str
    began: float
    call_id: int = 0
    answered: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    certain: bool = False
    """Whether it went by while all was well."""
    listed: str = ""
    """Its outcome in the list of ended calls, once that was looked at."""

    def __str__(self) -> str:
        moments = (("began", self.began), ("answered", self.answered), ("ended", self.ended))
        told = ", ".join(f"{what} {clock(at)}" for what, at in moments if at is not None)
        return f"call {self.call_id} {self.caller} → {self.callee}, {self.ending} ({told})"


@dataclass(slots=True)
class Phones:
    """Everybody at the PBX. ``calls``: all that they made."""

    session: aiohttp.ClientSession
    address: str
    calls: list[Call] = field(default_factory=list)
    _tokens: dict[str, str] = field(default_factory=dict)

    async def log_in(self, operator: str, password: str) -> None:
        """Log in the operator, who gives the others passwords, and these."""
        self._tokens[operator] = await self._logged_in(operator, password)
        users = await self._xapi("GET", "Users?$select=Id,Number", operator)
        for user in users["value"]:
            number, fresh = user["Number"], f"Harness-{user['Number']}-9Kq"
            if number != operator:
                await self._xapi(
                    "PATCH", f"Users({user['Id']})", operator, {"AccessPassword": fresh}
                )
                self._tokens[number] = await self._logged_in(number, fresh)

    async def dial(self, caller: str, callee: str) -> Call:
        """Begin a call."""
        call = Call(caller, callee, time.monotonic())
        said = await self._control("POST", caller, f"{caller}/makecall", {"destination": callee})
        call.call_id = said["result"]["callid"]
        self.calls.append(call)
        return call

    async def answer(self, call: Call) -> None:
        """Let the callee pick up."""
        await self._act(call.callee, call, "answer")
        call.answered = time.monotonic()

    async def hang_up(self, call: Call, who: str = "") -> None:
        """Let the caller hang up, or ``who``: the callee rejects what rings."""
        await self._act(who or call.caller, call, "drop")
        call.ended = time.monotonic()
        if call.answered is not None:
            call.ending = "answered"
        elif call.callee == QUEUE:
            call.ending = "abandoned"
        else:
            call.ending = "missed" if len(call.callee) <= 3 else "unanswered"

    async def going_on(self) -> dict[int, str]:
        """The calls of now: id → callee, as the PBX writes it."""
        rows = await self._xapi("GET", "ActiveCalls")
        return {row["Id"]: row["Callee"] for row in rows["value"]}

    async def drop(self, call_id: int) -> None:
        """End a call that a program made."""
        await self._xapi("POST", f"ActiveCalls({call_id})/Pbx.DropCall", body={})

    async def contacts(self) -> Counter[str]:
        """How often each name stands in the address book."""
        rows = await self._xapi("GET", "Contacts?$select=Id,LastName")
        return Counter(row["LastName"] for row in rows["value"])

    async def _act(self, number: str, call: Call, action: str) -> None:
        for participant in await self._control("GET", number, f"{number}/participants"):
            if participant["callid"] == call.call_id:
                await self._control(
                    "POST", number, f"{number}/participants/{participant['id']}/{action}", {}
                )
                return
        raise LookupError(f"{number} is not in call {call.call_id}")

    async def _logged_in(self, number: str, password: str) -> str:
        body = {"Username": number, "Password": password, "SecurityCode": ""}
        async with self.session.post(
            f"{self.address}/webclient/api/Login/GetAccessToken", json=body
        ) as answer:
            answer.raise_for_status()
            token: str = (await answer.json())["Token"]["access_token"]
            return token

    async def _control(self, method: str, number: str, path: str, body: object = None) -> Any:
        return await self._ask(method, f"callcontrol/{path}", number, body)

    async def _xapi(self, method: str, path: str, number: str = "100", body: object = None) -> Any:
        return await self._ask(method, f"xapi/v1/{path}", number, body)

    async def _ask(self, method: str, path: str, number: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[number]}"}
        async with self.session.request(
            method, f"{self.address}/{path}", json=body, headers=headers
        ) as answer:
            answer.raise_for_status()
            text = await answer.read()
            return await answer.json() if text else None


def clock(monotonic: float) -> str:
    """The time of day, UTC as in the logs, of an instant of the monotonic clock."""
    return datetime.fromtimestamp(time.time() - time.monotonic() + monotonic, UTC).strftime(
        "%H:%M:%S.%f"
    )[:-3]
