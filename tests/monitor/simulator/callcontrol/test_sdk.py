"""Use the simulated PBX with a third party's SDK (3cx-xapi-python-sdk) on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from threecx import AuthenticationError, NotFoundError, ODataQuery, ThreeCXClient, ValidationError  # type: ignore[import-untyped]  # it has no py.typed
from threecx.models.contacts import Contact  # type: ignore[import-untyped]  # it has no py.typed
from threecx.models.queues import Queue, QueueAgent  # type: ignore[import-untyped]  # it has no py.typed
from threecx.models.users import User  # type: ignore[import-untyped]  # it has no py.typed

from monitor.simulator.behaviour_options import Switches
from monitor.simulator.server import SimulatedPbx, SimulatorSettings

T = TypeVar("T")


@pytest.fixture
async def pbx() -> AsyncIterator[SimulatedPbx]:
    settings = SimulatorSettings(
        extensions=30, queues=3, contacts=25, traffic=False, switches=Switches(page_size=10)
    )
    async with SimulatedPbx(settings) as running:
        yield running


async def use(
    pbx: SimulatedPbx, work: Callable[[ThreeCXClient], T], secret: str | None = None
) -> T:
    """What the work gives; the SDK blocks, so it works in a thread."""

    def working() -> T:
        with ThreeCXClient(
            pbx.url, pbx.client_id, pbx.client_secret if secret is None else secret
        ) as client:
            return work(client)

    async with asyncio.timeout(120):
        return await asyncio.to_thread(working)


async def test_users_are_listed_leafed_through_and_filtered(pbx: SimulatedPbx) -> None:
    def work(client: ThreeCXClient) -> None:
        assert len(client.users.list()) == 10
        everybody = list(
            client.users.iterate(ODataQuery().order_by("Number").select("Id", "Number"))
        )
        assert [user.number for user in everybody] == pbx.directory.extensions()
        query = (
            ODataQuery()
            .filter("Number eq '101'")
            .expand("Groups($expand=Rights,GroupRights)", "ForwardingProfiles")
        )
        (user,) = client.users.list(query)
        assert user.groups is not None
        assert user.groups[0].rights is not None
        assert user.groups[0].rights.role_name == "users"
        assert user.id is not None
        assert [row.name for row in client.users.get_forwarding_profiles(user.id)][:2] == [
            "Available",
            "Away",
        ]
        assert client.users.get_groups(user.id)[0].member_name == user.display_name
        assert client.users.get_greetings(user.id) == []
        assert client.users.get_by_number("101").id == client.users.get(user.id).id == user.id

    await use(pbx, work)


async def test_a_user_is_created_updated_and_deleted(pbx: SimulatedPbx) -> None:
    def work(client: ThreeCXClient) -> None:
        assert client.users.get_first_available_extension() == "130"
        made = client.users.create(User(FirstName="Tom", LastName="O'Neill"))
        assert (made.number, made.full_name) == ("130", "Tom O'Neill")
        assert made.id is not None
        client.users.update(made.id, {"QueueStatus": "LoggedOut", "CurrentProfileName": "Away"})
        changed = client.users.get(made.id)
        assert (changed.current_profile_name, changed.display_name) == ("Away", "O'Neill, Tom")
        with pytest.raises(ValidationError, match=r"WARNINGS\.XAPI\.FORBIDDEN_CHANGE"):
            client.users.update(made.id, {"Number": "131"})
        with pytest.raises(ValidationError, match=r"WARNINGS\.XAPI\.ALREADY_IN_USE"):
            client.users.create({"Number": "800"})
        client.users.delete(made.id)
        with pytest.raises(NotFoundError, match=r"WARNINGS\.XAPI\.NOT_FOUND"):
            client.users.get(made.id)
        with pytest.raises(NotFoundError):
            client.users.get_by_number("it's/none")
        other = client.users.create({})
        assert other.id is not None
        assert client.users.batch_delete([other.id]) == []

    await use(pbx, work)
    assert pbx.directory.dn("130") is None


async def test_queues_and_ring_groups_get_their_people(pbx: SimulatedPbx) -> None:
    def work(client: ThreeCXClient) -> None:
        assert client.queues.get_first_available_number() == "803"
        agents = [QueueAgent(Number="105", SkillGroup="2"), QueueAgent(Number="101")]
        made = client.queues.create(Queue(Name="Night", Agents=agents))
        assert made.id is not None
        assert [agent.number for agent in client.queues.get_agents(made.id)] == ["105", "101"]
        client.queues.update(made.id, {"Managers": [{"Number": "100"}]})
        assert [manager.number for manager in client.queues.get_managers(made.id)] == ["100"]
        client.queues.reset_statistics(made.id)
        client.queues.delete(made.id)
        assert [queue.number for queue in client.queues.list()] == ["800", "801", "802"]
        group = client.ring_groups.get_by_number("600")
        assert group.id is not None
        client.ring_groups.update(group.id, {"Members": [{"Number": "103"}]})
        assert [member.number for member in client.ring_groups.get_members(group.id)] == ["103"]
        assert client.ring_groups.get_first_available_number() == "602"
        ivr = client.receptionists.get_by_number("700")
        assert ivr.id is not None
        assert client.receptionists.get_forwards(ivr.id)[0]["ForwardDN"] == "800"

    await use(pbx, work)
    assert pbx.directory.members("600") == ["103"]


async def test_contacts_are_kept(pbx: SimulatedPbx) -> None:
    def work(client: ThreeCXClient) -> None:
        assert len(list(client.contacts.iterate())) == 25
        made = client.contacts.create(Contact(FirstName="Ольга", PhoneNumber="+79161234567"))
        assert made.id is not None
        client.contacts.update(made.id, {"CompanyName": "Acme, Inc."})
        (found,) = client.contacts.get_by_number("+79161234567")
        assert (found.first_name, found.company_name) == ("Ольга", "Acme, Inc.")
        other = client.contacts.create_by_number({"LastName": "B"}, "777")
        assert other.id is not None
        client.contacts.delete(made.id)
        client.contacts.delete_by_ids([other.id])
        with pytest.raises(
            ValidationError, match=r"WARNINGS\.CONTACTS_SPECIFY_NAME_SURNAME_COMPANY"
        ):
            client.contacts.create({"PhoneNumber": "1"})

    await use(pbx, work)
    assert len(pbx.directory.contacts) == 25


async def test_a_call_is_made_seen_and_dropped(pbx: SimulatedPbx) -> None:
    caller, callee = [
        number for number in pbx.directory.extensions() if len(pbx.directory.devices(number)) == 1
    ][:2]

    def work(client: ThreeCXClient) -> None:
        assert client.active_calls.list() == []
        made = client.users.make_call(callee, dn=caller)
        assert made["FinalStatus"] == "Success"
        (call,) = client.active_calls.list(ODataQuery().count())
        assert call.id == made["Result"]["CallId"]
        assert call.caller == "MakeCall", "the service that rings the caller's phone first"
        assert call.callee is not None
        assert call.callee.startswith(f"{caller} ")
        assert call.server_now is not None
        assert client.system.get_status(ODataQuery().select("CallsActive")).calls_active == 1
        client.active_calls.drop(call.id)
        assert list(client.active_calls.iterate()) == []
        with pytest.raises(NotFoundError):
            client.active_calls.drop(call.id)

    await use(pbx, work)


async def test_the_rest_of_the_system_is_read(pbx: SimulatedPbx) -> None:
    def work(client: ThreeCXClient) -> None:
        status = client.system.get_status()
        assert (status.version, status.extensions_total) == (pbx.directory.version, 30)
        assert {"800", "600"} <= {row["Number"] for row in client.system.get_system_extensions()}
        assert client.defs.get_defs(ODataQuery().select("Id"))["Id"] == 0
        assert client.defs.list_timezones()
        assert client.defs.list_did_numbers()[0]["Number"] == "+15153182960"
        groups = client.groups.list(
            ODataQuery().filter("Name eq 'DEFAULT'").expand("Members", "Rights")
        )
        assert groups[0].id is not None
        assert groups[0].is_default
        assert client.groups.get_rights(groups[0].id)
        assert client.groups.get_members(groups[0].id)
        trunks = client.trunks.list_trunks(ODataQuery().expand("RoutingRules"))
        assert [trunk.number for trunk in trunks] == ["10000", "10001", "10002"]
        assert client.trunks.get_trunk_by_number("10001").external_number == "+74951234567"
        assert client.trunks.get_peer_by_number("101").type is not None
        assert len(client.inbound_rules.list(ODataQuery().expand("TrunkDN"))) > 3
        assert client.parkings.get_by_number("7990").number == "7990"

    await use(pbx, work)


async def test_a_wrong_secret_and_a_wrong_query_are_told_apart(pbx: SimulatedPbx) -> None:
    with pytest.raises(AuthenticationError):
        await use(pbx, lambda client: client.users.list(), secret="wrong")
    with pytest.raises(ValidationError, match="not valid"):
        await use(pbx, lambda client: client.users.list(ODataQuery().filter("Colour eq 'red'")))
    with pytest.raises(AuthenticationError):
        await use(pbx, _twice(pbx))


def _twice(pbx: SimulatedPbx) -> Callable[[ThreeCXClient], object]:
    """Another client's token makes this one's worthless."""

    def work(client: ThreeCXClient) -> object:
        client.defs.get_defs()
        with ThreeCXClient(pbx.url, pbx.client_id, pbx.client_secret) as other:
            other.defs.get_defs()
        return client.defs.get_defs()

    return work
