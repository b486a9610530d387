"""Index the PBX's directory for the trackers: look-ups by number and idle entities. Pure."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import Final, Literal

from monitor.pbx.facts import (
    VM_DATE_TIME,
    VM_EMAIL,
    DirectoryRead,
    InboundRuleRow,
    QueueRow,
    RingGroupRow,
    SystemRow,
    TrunkRow,
    UserRow,
)
from monitor.shared.entities import topics

_TYPES: Mapping[str, topics.DnType] = MappingProxyType(
    {
        "extension": "extension",
        "queue": "queue",
        "ringgroup": "ringgroup",
        "ivr": "ivr",
        "externalline": "externalline",
        "routepoint": "routepoint",
        "parking": "parking",
        "sharedparking": "parking",
        "fax": "fax",
        "faxextension": "fax",
        "specialmenu": "specialmenu",
    }
)
"""3CX's type words in lower case, without the W that some versions put before them."""

_PROFILES_OUT_OF_QUEUES = frozenset({"Away", "Out of office", "Custom 2"})
"""Profiles of 3CX's kinds Away and OutOfOffice. Their names count only where the PBX does not tell
whether an extension is logged in: calls to such an agent go elsewhere, so it takes none."""

LEARNT_KEPT = 10_000
"""DNs whose kind is known from calls alone."""
_LONGEST_REASON = 500
_NOTHING_READ: Final = DirectoryRead((), (), (), (), (), (), (), SystemRow(), 0.0)
_QUEUE_RULE = (
    "An agent counts as free when the extension is enabled, registered, logged in to queues "
    "globally{}, and in no call. Where the PBX does not tell the global login, the profile must "
    "not be Away, Out of office or Custom 2.{}"
)
QUEUE_RULE = _QUEUE_RULE.format("", " The PBX does not tell logins to single queues.")
QUEUE_RULE_WITH_LOGINS = _QUEUE_RULE.format(" and to this queue", "")


def dn_type(word: str) -> topics.DnType:
    """Return the documented word for 3CX's type word (``Wextension``, ``Extension``, ``queue``).

    ``unknown`` for words that are not known, such as an empty one.
    """
    word = word.lower()
    word = word[1:] if word[1:] in _TYPES or word.startswith("wconference") else word
    return "conference" if word.startswith("conference") else _TYPES.get(word, "unknown")


class DirectoryIndex:
    """Hold one reading of the PBX's directory: its users, queues, groups, IVRs and trunks."""

    def __init__(
        self,
        read: DirectoryRead = _NOTHING_READ,
        did_map: Mapping[str, str] | None = None,
        logins: Mapping[str, Mapping[str, bool]] | None = None,
    ) -> None:
        self._read = read
        self.revision = 0
        """Changes with every DN, kind or name that the index learns."""
        self.system = read.system
        self.logins = logins
        self._did_map = dict(did_map or {})
        self.users = {row.number: row for row in read.users}
        self._kinds: dict[str, topics.DnType] = {}
        self._learnt: OrderedDict[str, topics.DnType] = OrderedDict()
        """Kinds of DNs that the directory does not list, the oldest learnt first."""
        self._names: dict[str, str] = {}
        self._index(read)
        agents = _agents(read.queues)
        self.agents = {queue: frozenset(numbers) for queue, numbers in agents.items()}
        self.queues_of = _memberships(agents)
        self.groups_of = _memberships({row.number: row.members for row in read.ring_groups})
        self.extgroups_of = _memberships({row.name: row.members for row in read.departments})
        self._rules = _InboundRules(read.inbound_rules, read.trunks)
        self.queues = {row.number: self._queue(row) for row in read.queues}
        self.groups = {row.number: _ring_group(row) for row in read.ring_groups}
        self.ivrs = {row.number: topics.Ivr(row.number, row.name, row.kind) for row in read.ivrs}
        self.lines = {row.number: _line(row) for row in read.trunks}
        self.extgroups = {
            row.name: topics.ExtensionGroup(row.name, row.number, row.members, row.is_default)
            for row in read.departments
        }
        self.extensions = {number: self._extension(row) for number, row in self.users.items()}

    @property
    def queue_rule(self) -> str:
        """Return the rule by which an agent counts as free, in words."""
        return QUEUE_RULE if self.logins is None else QUEUE_RULE_WITH_LOGINS

    @property
    def failing(self) -> str:
        """Return sentences about the parts that could not be read; empty if there are none."""
        failing = "; ".join(self._read.failing)[:_LONGEST_REASON]
        refused = "; ".join(self._read.refused)[:_LONGEST_REASON]
        told = []
        if failing:
            told.append(
                f"A part of the directory cannot be read and is shown as it was last. {failing}"
            )
        if refused:
            told.append(f"The PBX refuses to show the API client some parts. {refused}.")
        return " ".join(told)

    def update_users(self, read: DirectoryRead) -> frozenset[str] | None:
        """Apply a reading that differs from the last only in the data of some users.

        Return the numbers of those users. Return None and apply nothing if more differs. Most
        readings of a directory with thousands of extensions are of this kind, minute by minute.
        """
        last = self._read
        if replace(read, users=last.users, at=last.at) != last:
            return None
        pairs = list(zip(last.users, read.users, strict=False))
        if len(read.users) != len(last.users) or any(
            old.number != row.number for old, row in pairs
        ):
            return None
        changed = {row.number: row for old, row in pairs if row != old}
        self._read = read
        self.revision += bool(changed)
        self.users.update(changed)
        for number, row in changed.items():
            self._names[number] = _full_name(row)
            self.extensions[number] = self._extension(row)
        for queue in read.queues:
            if not changed.keys().isdisjoint(self.agents[queue.number]):
                self.queues[queue.number] = self._queue(queue)
        return frozenset(changed)

    def set_queue_logins(self, logins: Mapping[str, Mapping[str, bool]] | None) -> None:
        """Set who is logged in to which queue.

        ``logins``: queue → extension → whether it is logged in; None if the PBX does not tell.
        """
        self.logins = logins
        self.queues = {row.number: self._queue(row) for row in self._read.queues}
        for number in self.queues_of:
            if number in self.users:
                self.extensions[number] = self._extension(self.users[number])

    def kind(self, dn: str) -> topics.DnType:
        """Return the kind of a number; ``unknown`` if nothing has told it."""
        return self._kinds.get(dn) or self._learnt.get(dn, "unknown")

    def name(self, dn: str) -> str:
        """Return the DN's display name; empty if the directory does not list it."""
        return self._names.get(dn, "")

    def set_kind(self, dn: str, w_type: str) -> None:
        """Set the kind of a DN that the directory does not list (a conference, a route point).

        ``w_type``: Call Control's type word. Of more than :data:`LEARNT_KEPT` such DNs the oldest
        learnt is forgotten.
        """
        kind = dn_type(w_type)
        if dn and kind != "unknown":
            self._learn(dn, kind)

    def inherit_kinds(self, other: DirectoryIndex) -> None:
        """Take over the kinds that ``other`` has learnt for DNs that no directory lists."""
        self.revision = other.revision + 1
        for dn, kind in (*other._kinds.items(), *other._learnt.items()):
            if dn not in other.users and kind in (
                "conference",
                "specialmenu",
                "parking",
                "routepoint",
                "fax",
            ):
                self._learn(dn, kind)

    def _learn(self, dn: str, kind: topics.DnType) -> None:
        if dn in self._kinds or dn in self._learnt:
            return
        self._learnt[dn] = kind
        self.revision += 1
        if len(self._learnt) > LEARNT_KEPT:
            self._learnt.popitem(last=False)

    def did(self, dialled: str, trunk: str, first: Collection[str] = ()) -> str:
        """Return the name of the inbound rule of a call from outside.

        ``dialled`` (the PBX's ``party_did``) names its rule, or itself if no rule has it. A rule of
        ``*200`` fits all numbers that end in 200; of several fitting rules the longest counts. If
        the PBX does not tell ``dialled``: return the configured name for this trunk, else the name
        of the trunk's only rule, else that of its only rule that leads to one of ``first``, else an
        empty text.
        """
        if dialled:
            name = self._rules.name(dialled, trunk)
            return self._did_map.get(dialled, dialled) if name is None else name or dialled
        if trunk in self._did_map:
            return self._did_map[trunk]
        rules = self._rules.of_trunk.get(trunk, [])
        return rules[0].name if len(rules) == 1 else self._rules.leading(trunk, first)

    def leads_to(self, dn: str) -> frozenset[str]:
        """Return the DN, and the queues and ring groups for which it may ring."""
        return frozenset((dn, *self.queues_of.get(dn, ()), *self.groups_of.get(dn, ())))

    def only_queue(self, rung: frozenset[str], trunk: str, dialled: str) -> str:
        """Return the only queue for which these phones can ring together; empty if there is none.

        The call came on ``trunk``; ``dialled`` is the number that was called, or empty. If all
        inbound rules that may have brought the call lead to queues, it is one of these queues, also
        if a single phone rings. Otherwise several phones that are not all members of one ring group
        ring for the queue that has all of them as agents. It does not count who is logged in where:
        the PBX may know that seconds earlier.
        """
        queues = set.intersection(*(set(self.queues_of.get(dn, ())) for dn in rung))
        led = self._rules.destinations(trunk, dialled)
        if led and all(self.kind(dn) == "queue" for dn in led):
            queues &= led
        elif len(rung) < 2 or any(rung <= set(group.members) for group in self.groups.values()):
            return ""
        return queues.pop() if len(queues) == 1 else ""

    def paging(self, groups: Iterable[str]) -> str:
        """Return the first of these ring groups whose phones play a page; empty if none does."""
        found = (dn for dn in sorted(groups) if dn in self.groups)
        return next((dn for dn in found if self.groups[dn].strategy == "Paging"), "")

    def available(self, number: str) -> bool:
        """Return whether an extension that is in no call would take a queue's call.

        :data:`QUEUE_RULE` has the rule.
        """
        row = self.users[number]
        return (
            row.enabled is not False
            and row.registered
            and (
                row.profile not in _PROFILES_OUT_OF_QUEUES
                if row.queue_status is None
                else row.queue_status == "LoggedIn"
            )
        )

    def _index(self, read: DirectoryRead) -> None:
        def put(number: str, kind: topics.DnType, name: str) -> None:
            self._kinds[number] = kind
            self._names[number] = name

        for peer in read.peers:
            kind = dn_type(peer.kind)
            if kind != "unknown":
                put(peer.number, kind, peer.name)
        for user in read.users:
            put(user.number, "extension", _full_name(user))
        for queue in read.queues:
            put(queue.number, "queue", queue.name)
        for group in read.ring_groups:
            put(group.number, "ringgroup", group.name)
        for ivr in read.ivrs:
            put(ivr.number, "ivr", ivr.name)
        for trunk in read.trunks:
            put(trunk.number, "externalline", trunk.name)

    def _queue(self, row: QueueRow) -> topics.Queue:
        return topics.Queue(
            num=row.number,
            name=row.name,
            agents=tuple(
                topics.Agent(a.number, a.name or self.name(a.number), a.skill_group)
                for a in row.agents
            ),
            managers=row.managers,
            logged_in=tuple(
                a.number
                for a in row.agents
                if a.number in self.users
                and self.users[a.number].queue_status == "LoggedIn"
                and self._login(row.number, a.number) != "LoggedOut"
            ),
            waiting=(),
            sla_time=row.sla_time,
        )

    def _login(self, queue: str, number: str) -> Literal["LoggedIn", "LoggedOut"] | None:
        logged_in = (self.logins or {}).get(queue, {}).get(number)
        return None if logged_in is None else "LoggedIn" if logged_in else "LoggedOut"

    def _extension(self, row: UserRow) -> topics.Extension:
        queues = self.queues_of.get(row.number, ())
        return topics.Extension(
            num=row.number,
            name=row.first_name,
            lastname=row.last_name,
            email=row.email,
            mobile=row.mobile,
            authid=row.auth_id,
            callerid=row.outbound_caller_id,
            enabled=_flag(row.enabled),
            deliveraudio=_flag(row.deliver_audio),
            recordcalls=_recording(row),
            sipid=row.sip_id,
            reinvite=_flag(row.reinvite),
            replaces=_flag(row.replaces),
            vmemail=_word(row.vm_email_options, VM_EMAIL),
            vmenabled=_flag(row.vm_enabled),
            vmplaycallerid=_flag(row.vm_play_caller_id),
            vmplaydatetime=_word(row.vm_play_msg_date_time, VM_DATE_TIME),
            internal=_flag(row.internal),
            noanswertimeout=row.no_answer_timeout,
            registered=row.registered,
            status="Free",
            fwd_name=row.profile,
            q_global_status=row.queue_status,
            q_status=tuple(
                topics.QueueLogin(queue, self._login(queue, row.number)) for queue in queues
            ),
            activity="Idle",
            since=None,
            talks=(),
            available=self.available(row.number),
            queues=queues,
            groups=self.groups_of.get(row.number, ()),
            extgroups=self.extgroups_of.get(row.number, ()),
            in_ring_groups=row.in_ring_groups,
        )


class _InboundRules:
    """Find the inbound rule of a call, without a look at every rule."""

    def __init__(self, rules: Iterable[InboundRuleRow], trunks: Iterable[TrunkRow]) -> None:
        self._numbers = {row.number: row.did_numbers for row in trunks}
        self.of_trunk: dict[str, list[InboundRuleRow]] = defaultdict(list)
        for rule in rules:
            self.of_trunk[rule.trunk].append(rule)
        self._names: dict[str, dict[str, str]] = {}
        """A rule's DID → trunk → name of the trunk's first rule for it."""
        for rule in chain.from_iterable(self.of_trunk.values()):
            if rule.condition == "BasedOnDID":
                self._names.setdefault(rule.data, {}).setdefault(rule.trunk, rule.name)
        endings = {len(did) - 1 for did in self._names if did.startswith("*")}
        self._endings = sorted(endings - {0}, reverse=True)
        """Lengths of the endings for which there are rules."""
        self._leading: dict[tuple[str, str], str] = {}
        """Trunk and DN → name of the only rule that leads there; empty if there are several."""
        for rule in chain.from_iterable(self.of_trunk.values()):
            for dn in rule.destinations:
                name, key = rule.name or rule.data, (rule.trunk, dn)
                self._leading[key] = name if self._leading.get(key, name) == name else ""

    def name(self, dialled: str, trunk: str) -> str | None:
        """Return the name of the rule for a dialled number, or None if there is none.

        A leading star, as 3CX writes it, stands for any digits before the rest. Of equal rules that
        of this trunk counts.
        """
        endings = (f"*{dialled[-size:]}" for size in self._endings if size <= len(dialled))
        for did in chain((dialled,), endings):
            names = self._names.get(did)
            if names is not None:
                return names[trunk] if trunk in names else next(iter(names.values()))
        return None

    def destinations(self, trunk: str, dialled: str) -> frozenset[str]:
        """Return the DNs to which calls on a trunk are led, to any number or to this one.

        Empty if a rule that may be meant leads somewhere else, or if a number of the trunk may have
        been called for which there is no rule.
        """
        rules = self.of_trunk.get(trunk, [])
        called = (dialled,) if dialled else self._numbers.get(trunk, ())
        if not all(_is_led(rules, number) for number in called):
            return frozenset()
        if dialled:
            rules = [
                rule
                for rule in rules
                if rule.condition not in ("BasedOnDID", "ForwardAll") or _fits(rule.data, dialled)
            ]
        if not all(rule.destinations for rule in rules):
            return frozenset()
        return frozenset(chain.from_iterable(rule.destinations for rule in rules))

    def leading(self, trunk: str, dns: Iterable[str]) -> str:
        """Return the name of the trunk's only rule that leads to one of the DNs, else empty."""
        names = {self._leading.get((trunk, dn)) for dn in dns} - {None}
        return (names.pop() or "") if len(names) == 1 else ""


def _is_led(rules: Iterable[InboundRuleRow], number: str) -> bool:
    """Return whether a rule is for calls to this number."""
    return any(rule.condition == "BasedOnDID" and _fits(rule.data, number) for rule in rules)


def _fits(data: str, dialled: str) -> bool:
    """Return whether a rule's DID is this number; a leading star stands for any digits."""
    return dialled.endswith(data[1:]) if data.startswith("*") else data == dialled


def _full_name(row: UserRow) -> str:
    return " ".join(part for part in (row.first_name, row.last_name) if part)


def _agents(queues: Iterable[QueueRow]) -> dict[str, tuple[str, ...]]:
    return {row.number: tuple(agent.number for agent in row.agents) for row in queues}


def _ring_group(row: RingGroupRow) -> topics.RingGroup:
    return topics.RingGroup(row.number, row.name, row.members, row.strategy)


def _line(row: TrunkRow) -> topics.Line:
    limit, number = row.simultaneous_calls, row.external_number
    return topics.Line(row.number, row.name, row.online, 0, limit, number)


def _memberships(members: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    belongs: dict[str, list[str]] = defaultdict(list)
    for name, numbers in members.items():
        for number in numbers:
            belongs[number].append(name)
    return {number: tuple(sorted(set(names))) for number, names in belongs.items()}


def _flag(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _recording(row: UserRow) -> int | None:
    if row.record_calls is None:
        return None
    return 0 if not row.record_calls else 1 if row.record_external_only else 2


def _word(word: str, words: tuple[str, ...]) -> int | None:
    return words.index(word) if word in words else None
