"""Speak the web client's own protocol ("MyPhone"), the only way to log in to a single queue.

Logging out of a single queue needs it too. A session is opened with the API client's token, if it
has the right ("MyPhone" of the API client). When the PBX has forgotten the session, a new one is
opened. Commands are protobuf messages; see :mod:`monitor.myphone_messages`.
"""

from __future__ import annotations

from typing import Final

from monitor import myphone_messages
from monitor.pbx.http_client.transport import HttpResponse
from monitor.pbx.parsing.json_fields import text
from monitor.pbx.v20_client import MAX_TOKEN_BYTES, XAPI, PbxClient
from monitor.shared.codec import to_json
from monitor.shared.errors import CommandOutcomeUnknown, CommandRefused, PbxGarbled

_SESSION: Final = "/webclient/api/MyPhone/session"
_COMMANDS: Final = "/MyPhone/MPWebService.asmx"
_FORGOTTEN: Final = (b"Login is required", b"NOT AUTH")
_DONE: Final = b"successfully processed"
_MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Bytes of an answer. Small parts of a protobuf message take some thirty times that in memory."""
_LONGEST: Final = 200
"""Characters of the PBX's own words in a refusal."""
_OCTETS: Final = "application/octet-stream"


class MyPhoneClient:
    """Hold one session, opened when it is first needed.

    Both methods raise CommandRefused(``no_webclient_right``) if the API client has no right to it.
    They raise PbxUnreachable, PbxGarbled, TokenRefused, and PbxRefused for any other answer.
    """

    def __init__(self, client: PbxClient) -> None:
        self._client = client
        self._key: str | None = None

    async def queues_info(self) -> dict[str, dict[str, bool]]:
        """Return queue's number → agent's extension → True if the agent is logged in to it."""
        answer = await self._command(myphone_messages.get_my_info(), changes=False)
        try:
            message = myphone_messages.decode(answer)
        except myphone_messages.NotAMessage as error:
            raise PbxGarbled(f"The web client's interface: {error}.") from error
        if not message.HasField("queues_info"):
            raise PbxGarbled("The web client's interface does not list the queues.")
        return {
            queue.number: {
                agent.extension: bool(agent.logged_in)
                for agent in queue.agents.items
                if agent.extension
            }
            for queue in message.queues_info.queues
            if queue.number
        }

    async def set_queue_status(self, queue_id: int, agent_id: int, *, logged_in: bool) -> None:
        """Log an agent in to a queue, or out of it.

        Raises CommandOutcomeUnknown, and CommandRefused if the PBX refuses.
        """
        answer = await self._command(
            myphone_messages.set_queue_status(queue_id, agent_id, logged_in=logged_in), changes=True
        )
        if _DONE in answer:
            return
        try:
            said = myphone_messages.decode(answer)
        except myphone_messages.NotAMessage:
            said = None
        if said is None or not said.HasField("done"):
            raise CommandOutcomeUnknown(
                "The PBX's answer does not say whether the login to the queue was changed."
            )
        raise CommandRefused(
            "pbx_refused",
            f"The PBX did not change the login to the queue: {said.done.text[:_LONGEST]}.",
        )

    async def _command(self, message: bytes, *, changes: bool) -> bytes:
        for _ in range(2):
            if self._key is None:
                self._key = await self._open()
            headers = {"MyPhoneSession": self._key, "Content-Type": _OCTETS, "Accept": _OCTETS}
            answer = await self._send(message, headers, changes=changes)
            forgotten = answer.status == 403 or any(word in answer.body for word in _FORGOTTEN)
            if not forgotten and not answer.good:
                raise answer.refusal()
            if not forgotten:
                return answer.body
            self._key = None
        raise PbxGarbled(
            "The web client's interface does not know the session that it has just opened."
        )

    async def _open(self) -> str:
        answer = await self._session()
        key = text(answer, "sessionKey", MAX_TOKEN_BYTES) if isinstance(answer, dict) else ""
        if not key or not key.isascii() or not key.isprintable():
            raise PbxGarbled("The web client's interface opened no session.")
        headers = {"MyPhoneSession": key, "Content-Type": _OCTETS, "Accept": _OCTETS}
        await self._send(myphone_messages.login(), headers, changes=False)
        return key

    async def _send(
        self, message: bytes, headers: dict[str, str], *, changes: bool
    ) -> HttpResponse:
        try:
            answer = await self._client.order(
                "POST", _COMMANDS, message, headers, largest=_MAX_MESSAGE_BYTES
            )
        except CommandOutcomeUnknown as error:
            if changes:
                raise
            raise PbxGarbled(f"The web client's interface: {error}") from error
        if changes and answer.status >= 500:
            raise CommandOutcomeUnknown(
                f"The PBX answered {answer.status}: it is not known whether the login was changed."
            )
        return answer

    async def _session(self) -> object:
        body = to_json({"name": "callmon", "version": "1", "isHuman": False})
        for last in (False, True):
            try:
                answer = await self._client.order("POST", _SESSION, body, blame_token=False)
            except CommandOutcomeUnknown as error:
                raise PbxGarbled(str(error)) from error  # one unused session more does no harm
            if answer.status == 401:
                await self._client.get_json(
                    f"{XAPI}/Defs", {"$select": "Id"}
                )  # renews the token, if that was it
            if answer.status in (403, 404) or (answer.status == 401 and last):
                raise _no_right()
            if answer.good:
                return answer.json()
            if answer.status >= 500:
                raise PbxGarbled(
                    f"The web client's interface opened no session: {answer.refusal()}"
                )
            if answer.status != 401:
                raise answer.refusal()
        raise _no_right()


def _no_right() -> CommandRefused:
    return CommandRefused(
        "no_webclient_right",
        "This needs the web client's interface, which this API client may not use: tick its "
        "MyPhone access under "
        "Integrations → API in the admin console.",
    )
