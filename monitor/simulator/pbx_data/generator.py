"""Make up a PBX's configuration from a seed. The same seed makes the same company. Pure.

Numbers: extensions from 100 (from 1000 if they do not fit below), queues from 800 (8000), ring
groups 600 and 601, paging group 690, IVRs 700, 701 and ``HOL`` (holidays), callback queue ``QCB``,
fax 991, trunks 10000 (several DIDs with a rule for each), 10001 (exactly one rule) and 10002 (no
rule), conference 990, special menu 999 (voicemail), parking places 7990, ``SP0`` and ``SP11``,
route point ``crmintegration`` of a program that takes calls. The first extension belongs to the
operator and owns the system. A PBX of some size has an AI agent at one extension. Names are those
of an ordinary company, or odd ones on request: mixed scripts, commas, digits, very long, emoji.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final

from monitor.simulator.behaviour_options import Monitored
from monitor.simulator.pbx_data import templates
from monitor.simulator.pbx_data.directory import Device, Directory
from monitor.simulator.pbx_data.templates import Entity, tables

MAIN_TRUNK: Final = "10000"
ONE_RULE_TRUNK: Final = "10001"
NO_RULE_TRUNK: Final = "10002"
PAGING_GROUP: Final = "690"
HOLIDAY_MENU: Final = "HOL"
CALLBACK_QUEUE: Final = "QCB"
CRM_APP: Final = "crmintegration"
_PLACES_TO_PARK: Final = ("SP0", "SP11")
_AI_AGENT_PLACE: Final = 21
"""Position of the extension that is an AI agent."""


def make_directory(
    seed: int,
    extensions: int,
    queues: int,
    contacts: int = 200,
    client_id: str = "callmon",
    monitored: Monitored = "extensions",
    *,
    without: Collection[str] = (),
    odd_names: bool = False,
) -> Directory:
    """Return a whole configuration made from ``seed``.

    ``without``: habits of :mod:`monitor.simulator.call_kinds` that its data do not have.

    ``monitored`` names the DNs that the API client ``client_id`` may monitor. ``extensions``: every
    extension. ``all``: queues, ring groups, IVRs and trunks as well. ``half``: every second
    extension.
    """
    rng = random.Random(seed)  # noqa: S311 - made-up data, nothing secret
    numbers, first_queue = _plan(extensions, queues)
    directory = Directory(
        first_extension=1000 if first_queue > 999 else 100, first_queue=first_queue
    )
    directory.dial_codes = templates.blank("DialCodeSettings")
    departments = [directory.add_group(group) for group in _departments()]
    names = Names(rng, seed, odd=odd_names, brackets="bracket_names" not in without)
    for position, number in enumerate(numbers):
        department = departments[rng.randrange(len(departments))]
        _add_user(directory, rng, number, position, department["Id"], names)
    if "ring_group_opt_out" not in without:
        _opt_out(directory)
    directory.operator = numbers[0] if numbers else ""
    _add_routing(directory, rng, names, first_queue, queues, departments[0]["Id"])
    _add_trunks(directory, names, departments[0]["Id"])
    _add_outside(directory, departments[0]["Id"])
    for _ in range(contacts):
        directory.book.add(_contact(rng, names))
    principal = templates.service_principal(client_id, tuple(_peers(directory, monitored)))
    principal["Groups"][0]["GroupId"] = departments[0]["Id"]
    directory.add("routepoint", principal)
    if "letter_dns" not in without:
        _add_letters(directory, departments[0]["Id"])
    return directory


def membership(group_id: int, role: str = "users") -> Entity:
    """Return a row of a member's ``Groups``."""
    return {"GroupId": group_id, "Rights": {"RoleName": role}}


def _plan(extensions: int, queues: int) -> tuple[list[str], int]:
    for first, first_queue in ((100, 800), (1000, 8000), (100_000, 800_000)):
        queue_range = range(first_queue, first_queue + queues)
        taken = {600, 601, 690, 700, 701, 990, 991, 999, 7990, *range(10000, 10003), *queue_range}
        free = [str(number) for number in range(first, first * 10) if number not in taken]
        if len(free) >= extensions and first_queue + queues <= first * 9 + first // 2:
            return free[:extensions], first_queue
    msg = f"{extensions} extensions and {queues} queues are more than a PBX can number"
    raise ValueError(msg)


def _departments() -> list[Entity]:
    default = templates.group("GRP0000", "DEFAULT", is_default=True)
    return [default] + [
        templates.group(f"GRP{i:04}", name)
        for i, name in enumerate(tables().made_up["departments"], start=1)
    ]


class Names:
    """Choose the names of people, queues and companies.

    Ordinary names come from a sequence of their own, and odd ones are drawn in any case. So the
    rest of the company does not depend on the names.
    """

    def __init__(self, rng: random.Random, seed: int, *, odd: bool, brackets: bool) -> None:
        self._rng = rng
        self._ordinary = random.Random(f"{seed}/names")  # noqa: S311 - made-up data, nothing secret
        self._odd = odd
        self._brackets = brackets
        self._given: set[tuple[str, str]] = set()

    def at_extension(self, position: int, number: str) -> tuple[str, str]:
        """Return the first and last name that an extension has. Some belong to a place."""
        places = tables().made_up["odd_names" if self._odd else "places"]
        first, last = self.of_person()
        if position % 17 == 13:
            first, last = places[position // 17 % len(places)]
        if self._brackets and position % 37 == 5:
            return f"Sales ({int(number) + 1})", ""
        return first, last

    def of_person(self, tries: int = 8) -> tuple[str, str]:
        """Return a first and a last name that go together.

        They were not returned before if such a name is found in ``tries`` tries.
        """
        table, rng = tables().made_up, self._ordinary
        cultures = table["people"]
        odd = self._rng.choice(table["odd_first_names"]), self._rng.choice(table["odd_last_names"])
        if self._odd:
            return odd
        for _ in range(tries):
            firsts, lasts = rng.choices(cultures, range(len(cultures) * 2, 1, -2))[0]
            name = rng.choice(firsts), rng.choice(lasts)
            if name not in self._given:
                break
        self._given.add(name)
        return name

    def of_queue(self, position: int) -> str:
        """Return the name of a queue, by its place among the queues."""
        names = tables().made_up["odd_queues" if self._odd else "queues"]
        name: str = names[position % len(names)]
        if position >= len(names):
            return f"{name} {position}"
        return f"{name} (2)" if self._brackets and position == 1 else name

    def of_company(self) -> str:
        """Return the name of a company, which may be empty."""
        name: str = self._rng.choice(
            tables().made_up["odd_companies" if self._odd else "companies"]
        )
        return name

    def plain(self, name: str, odd: str = "", bracket: str = "") -> str:
        """Return a name: the odd one or the one with a bracket where these are wanted."""
        if self._odd and odd:
            return odd
        return f"{name} ({bracket})" if self._brackets and bracket else name


def _add_user(
    directory: Directory,
    rng: random.Random,
    number: str,
    position: int,
    department: int,
    names: Names,
) -> None:
    first, last = names.at_extension(position, number)
    is_robot = position == _AI_AGENT_PLACE
    if is_robot:
        first, last = "AI Receptionist", ""
    user = templates.user(number, first, last)
    user.update(
        EmailAddress=f"ext{number}@example.com",
        Mobile=_phone(rng) if rng.random() < 0.4 else "",
        AuthID=f"A{rng.randrange(10**9):09}",
        AuthPassword=f"{rng.getrandbits(64):016x}",
        AccessPassword=f"{rng.getrandbits(64):016x}",
        DeskphonePassword=f"{rng.getrandbits(32):08x}",
        VMPIN=f"{rng.randrange(10**4):04}",
        AIAgent=is_robot,
        Enabled=position % 29 != 23,
        QueueStatus="LoggedOut" if position % 13 == 11 else "LoggedIn",
        CurrentProfileName=templates.PROFILES[1 + position // 19 % 4]
        if position % 19 == 17 and not is_robot
        else "Available",
        RecordCalls=position % 5 == 2,
        RecordExternalCallsOnly=position % 10 == 7,
        PrimaryGroupId=department,
        Groups=[membership(department, "users" if position else "system_owners")],
    )
    directory.add("extension", user)
    devices = _devices(rng, number, position)
    if is_robot:
        devices = [Device(number, f"sip:{number}@127.0.0.1:5062", "3CX AI Agent")]
    directory.set_devices(number, devices)


def _opt_out(directory: Directory) -> None:
    """Let every seventh user's profile Available keep the phone out of ring groups."""
    for user in list(directory.users.values())[4::7]:
        profiles = [
            {**profile, "DisableRingGroupCalls": profile["Name"] == "Available"}
            for profile in user["ForwardingProfiles"]
        ]
        directory.update(user, {"ForwardingProfiles": profiles})


def _devices(rng: random.Random, number: str, position: int) -> list[Device]:
    count = 0 if position % 11 == 9 else 2 if position % 7 == 3 else 1
    return [
        Device(
            dn=number,
            device_id=(
                f"sip:{number}@127.0.0.1:{5483 if i == 0 else 5063}"
                f";rinstance={rng.getrandbits(64):016x}"
            ),
            user_agent=rng.choice(tables().made_up["user_agents"]),
        )
        for i in range(count)
    ]


def _add_routing(
    directory: Directory,
    rng: random.Random,
    names: Names,
    first_queue: int,
    queues: int,
    department: int,
) -> None:
    extensions = directory.people()
    in_default = [membership(department)]
    for i in range(queues):
        queue = templates.blank("Queue", Number=str(first_queue + i), Name=names.of_queue(i))
        agents = rng.sample(extensions, min(len(extensions), rng.randint(4, 9)))
        queue["Agents"] = [
            {"Number": number, "SkillGroup": str(1 + k % 3)} for k, number in enumerate(agents)
        ]
        queue["Managers"] = [{"Number": number} for number in extensions[:2]]
        queue.update(
            EnableIntro=i % 2 == 1,
            SLATime=20 + 10 * (i % 4),
            PollingStrategy=("RingAll", "Hunt")[i % 3 == 2],
        )
        directory.add("queue", queue | {"Groups": in_default})
    for i, name in enumerate(("All phones", names.plain("Warehouse", "Склад"))):
        group = templates.blank("RingGroup", Number=str(600 + i), Name=name)
        group["Members"] = [
            {"Number": number} for number in rng.sample(extensions, min(len(extensions), 3 + i))
        ]
        directory.add("ringgroup", group | {"Groups": in_default})
    paging = templates.blank("RingGroup", Number=PAGING_GROUP, Name="Paging", RingStrategy="Paging")
    paging["Members"] = [{"Number": number} for number in extensions[::3][:12]]
    directory.add("ringgroup", paging | {"Groups": in_default})
    for i, name in enumerate((names.plain("Main"), names.plain("Night", "Night, after 18"))):
        ivr = templates.blank("Receptionist", Number=str(700 + i), Name=name)
        ivr["Forwards"] = _forwards(directory)
        directory.add("ivr", ivr | {"Groups": in_default})
    directory.add_system("990", "conference", "Conference")
    directory.add_system("999", "specialmenu", "Voicemail")
    directory.add("parking", templates.blank("Parking", Number="7990"))


def _add_letters(directory: Directory, department: int) -> None:
    """Add the DNs whose numbers have letters."""
    groups = {"Groups": [membership(department)]}
    for number in _PLACES_TO_PARK:
        directory.add("parking", templates.blank("Parking", Number=number))
    for number, name in ((HOLIDAY_MENU, "Holidays"), (CALLBACK_QUEUE, "Queue callback")):
        directory.add("ivr", templates.blank("Receptionist", Number=number, Name=name) | groups)
    program = templates.service_principal(CRM_APP)
    program["Groups"][0]["GroupId"] = department
    directory.add("routepoint", program)


def _forwards(directory: Directory) -> list[Entity]:
    targets = [("Queue", number) for number in directory.queue_numbers()[:3]]
    targets += [("RingGroup", number) for number in directory.ring_group_numbers()[:1]]
    return [
        {
            "Id": key,
            "Input": str(key),
            "ForwardDN": number,
            "ForwardType": kind,
            "PeerType": kind,
            "CustomData": "",
        }
        for key, (kind, number) in enumerate(targets, start=1)
    ]


def _add_trunks(directory: Directory, names: Names, department: int) -> None:
    targets = [("Queue", number) for number in directory.queue_numbers()[:3]]
    targets += [("RingGroup", number) for number in directory.ring_group_numbers()[:1]]
    targets += [("IVR", number) for number in directory.ivr_numbers()[:1]]
    targets += [("Extension", number) for number in directory.extensions()[:2]]
    dids = [f"+1515318{2960 + i}" for i in range(len(targets))]
    _add_trunk(directory, MAIN_TRUNK, "skyetel", dids[0], department)
    for did, (kind, number) in zip(dids, targets, strict=True):
        directory.add_did(did, MAIN_TRUNK)
        directory.add_rule(
            templates.inbound_rule(
                f"{kind} {number} line", MAIN_TRUNK, did, _to(directory, kind, number)
            )
        )
    _add_trunk(
        directory, ONE_RULE_TRUNK, names.plain("SIP Trunk", bracket="1"), "+74951234567", department
    )
    kind, number = targets[0]
    directory.add_did("+74951234567", ONE_RULE_TRUNK)
    directory.add_rule(
        templates.inbound_rule(
            names.plain("Moscow", "Москва"),
            ONE_RULE_TRUNK,
            "+74951234567",
            _to(directory, kind, number),
        )
    )
    _add_trunk(
        directory,
        NO_RULE_TRUNK,
        "Backup GSM, 2nd",
        "+49301234560",
        department,
    )


def _add_trunk(directory: Directory, number: str, name: str, main: str, department: int) -> None:
    calls = max(100, len(directory.extensions()))
    trunk = templates.trunk(number, name, main, calls)
    trunk["Groups"] = [membership(department)]
    trunk["AuthPassword"] = {"Concealed": False, "Value": f"trunk-{number}"}
    directory.add("externalline", trunk)


def _add_outside(directory: Directory, department: int) -> None:
    directory.add("fax", templates.fax("991") | {"Groups": [membership(department)]})
    trunks = tuple((key, trunk["Gateway"]["Name"]) for key, trunk in directory.trunks.items())
    directory.add_rule(templates.outbound_rule("Everything", trunks), outbound=True)


def _to(directory: Directory, kind: str, number: str) -> Entity:
    dn = directory.dn(number)
    return templates.destination(kind, number, dn.name if dn else "", kind)


def _contact(rng: random.Random, names: Names) -> Entity:
    first, last = names.of_person(tries=2)
    contact = templates.contact(first, last, names.of_company(), _phone(rng))
    for name, share in (
        ("Business", 0.4),
        ("Home", 0.2),
        ("Mobile2", 0.1),
        ("Business2", 0.1),
        ("Other", 0.05),
    ):
        if rng.random() < share:
            contact[name] = _phone(rng)
    if rng.random() < 0.5:
        contact["Email"] = f"contact{rng.randrange(10**6)}@example.com"
    return contact


def _phone(rng: random.Random) -> str:
    digits = rng.randrange(10**7)
    match rng.randrange(4):
        case 0:
            return f"+1515{digits:07}"
        case 1:
            return f"(515) {digits // 10**4:03}-{digits % 10**4:04}"
        case 2:
            return f"8 495 {digits // 10**4:03}-{digits // 100 % 100:02}-{digits % 100:02}"
        case _:
            return f"+4930{digits:07}"


def _peers(directory: Directory, monitored: Monitored) -> list[str]:
    extensions = directory.extensions()
    match monitored:
        case "extensions":
            return extensions
        case "half":
            return extensions[::2]
        case "all":
            others = (
                directory.queue_numbers(),
                directory.ring_group_numbers(),
                directory.ivr_numbers(),
            )
            return [
                *extensions,
                *(number for numbers in others for number in numbers),
                *directory.trunk_numbers(),
            ]
