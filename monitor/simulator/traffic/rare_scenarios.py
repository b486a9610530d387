"""Play the kinds of calls that a PBX sees a few times a day, and its machines.

Each function yields the seconds until its next step, as those in
:mod:`monitor.simulator.traffic.scenarios`.
"""

from __future__ import annotations

from collections.abc import Generator

from monitor.simulator.calls.model import SimulatedCall
from monitor.simulator.traffic.call_parties import NoRoom, Play, Scene, Step
from monitor.simulator.traffic.notations import HIDDEN, redialled
from monitor.simulator.traffic.steps import (
    answered_or_not,
    arrive,
    at_app,
    free_now,
    in_queue,
    line,
    pick_up,
    ring_directly,
    talk,
    talk_begun,
)

_SECOND_PARTICIPANT_S = 0.8
"""Seconds for which a second participant of a ringing phone is shown."""


def ordered(scene: Scene) -> Play:
    """Play a call that a program orders: its phone rings first, then the destination."""
    plan = scene.plan
    caller = scene.cast.free(plan.parties[0])
    call = scene.begin(scene.switchboard.ring_first(caller, plan.outside[0]))
    yield plan.ring
    if scene.rng.random() < 0.15:  # nobody is at the phone
        yield plan.ring_out
        return
    pick_up(scene, call)
    yield from answered_or_not(scene, call, answered=scene.rng.random() < 0.8)


def machine(scene: Scene) -> Play:
    """Play a call from an extension to voicemail, a menu, a parking place or the fax."""
    caller = scene.cast.free(scene.plan.parties[0])
    call = scene.begin(scene.switchboard.dial(caller, scene.plan.target))
    yield from talk(scene, call)


def incoming_machine(scene: Scene) -> Play:
    """Play a call from outside that a fax or the holiday menu takes."""
    call = yield from arrive(scene, line(scene, scene.plan.target))
    scene.switchboard.route(call, scene.plan.target)
    yield from talk(scene, call)


def ai_agent(scene: Scene) -> Play:
    """Play a call from outside that an AI agent takes at once, and may hand to a person."""
    call = yield from arrive(scene, line(scene, scene.plan.target))
    scene.switchboard.route(call, scene.plan.target)
    if call.ringing():
        yield 0.5
        pick_up(scene, call)
        yield scene.plan.talk / 2
        person = free_now(scene, scene.plan.parties[0]) if scene.plan.parties else ""
        if person and scene.rng.random() < 0.5:
            scene.switchboard.transfer(call, scene.plan.target, person)
            yield from answered_or_not(scene, call)
            return
    yield from talk(scene, call)


def crm_app(scene: Scene) -> Play:
    """Play a call from outside to a program, which sends some callers on to a queue."""
    plan, switchboard = scene.plan, scene.switchboard
    call = yield from arrive(scene, line(scene, plan.target))
    switchboard.route(call, plan.target)
    yield plan.menu
    if call.ringing():
        pick_up(scene, call)
        yield plan.menu
    queues = scene.cast.directory.queue_numbers()
    if queues and scene.rng.random() < 0.5:
        queue = scene.rng.choice(queues)
        switchboard.transfer(call, plan.target, queue, greeting=scene.cast.greets(queue))
        yield from in_queue(scene, call)
        return
    yield from at_app(scene, call)


def waiting_agent(scene: Scene) -> Play:
    """Play an agent who waits in a queue, listens to a menu or listens to voicemail."""
    plan, cast = scene.plan, scene.cast
    agent = next(iter(cast.agents(plan.target)), "")
    if not agent:
        raise NoRoom
    menus = cast.directory.ivr_numbers()
    voicemail = scene.switchboard.router.special("specialmenu")
    places = [plan.target, *menus[:1], *([voicemail.number] if voicemail else [])]
    place = scene.rng.choice(places)
    call = scene.begin(scene.switchboard.dial(agent, place, greeting=cast.greets(plan.target)))
    if place == plan.target:
        yield from in_queue(scene, call)
    else:
        yield from talk(scene, call)


def two_calls(scene: Scene) -> Play:
    """Play an agent who holds one call while a second one rings and is taken, or is dialled."""
    plan, switchboard = scene.plan, scene.switchboard
    call, agent = yield from talk_begun(scene)
    yield plan.talk / 3
    if scene.rng.random() < 0.5:
        other = free_now(scene, plan.parties[1], agent)
        second = scene.begin(switchboard.dial(agent, other or plan.outside[1]))
    else:
        way = line(scene, "")
        second = scene.begin(switchboard.arrive(way.trunk, plan.outside[1], way.did, way.rule))
        switchboard.ring_busy(second, agent)
    yield plan.ring
    pick_up(scene, second)
    yield plan.talk / 2
    switchboard.end(second)
    yield from talk(scene, call)


def paging(scene: Scene) -> Play:
    """Play an announcement of one caller to many phones, which connect at once."""
    caller = scene.cast.free(scene.plan.parties[0])
    phones = [n for n in scene.cast.members(scene.plan.target) if n != caller]
    call = scene.begin(scene.switchboard.page(caller, phones, scene.plan.target))
    yield scene.plan.menu
    scene.switchboard.drop(call, caller)


def intercom(scene: Scene) -> Play:
    """Play a call to one phone that connects at once."""
    caller = scene.cast.free(scene.plan.parties[0])
    callee = scene.cast.free(scene.plan.parties[1], caller)
    call = scene.begin(scene.switchboard.page(caller, [callee]))
    yield from talk(scene, call)


def parked(scene: Scene) -> Play:
    """Play a caller who is parked and taken at another phone, or gives up."""
    plan, switchboard = scene.plan, scene.switchboard
    call = yield from ring_directly(scene)
    yield plan.ring
    pick_up(scene, call)
    yield plan.talk / 3
    taker = next(leg.dn.number for leg in call.talkers() if leg.dn.kind == "extension")
    switchboard.transfer(call, taker, plan.target)
    yield plan.ring_out
    other = free_now(scene, scene.rng.choice((taker, plan.parties[1])))
    if not other or scene.rng.random() < 0.2:
        return
    switchboard.retrieve(call, other)
    yield from talk(scene, call)


def supervised(scene: Scene) -> Play:
    """Play a talk to which a supervisor listens for a while."""
    call = yield from ring_directly(scene)
    yield scene.plan.ring
    pick_up(scene, call)
    yield scene.plan.talk / 3
    agent = next((leg.dn.number for leg in call.talkers() if leg.dn.kind == "extension"), "")
    supervisor = free_now(scene, scene.plan.parties[2])
    if agent and supervisor:
        scene.switchboard.supervise(call, agent, supervisor)
        yield scene.plan.talk / 2
        if scene.rng.random() < 0.5:
            scene.switchboard.drop(call, supervisor)
    yield scene.plan.talk / 3
    scene.switchboard.drop(call, call.originator)


def second_participant(scene: Scene) -> Play:
    """Play a call whose phone shows a second participant, which never connects and goes."""
    call = yield from ring_directly(scene)
    ringing = call.ringing()
    if ringing:
        scene.switchboard.ring_twice(call, ringing[0].dn.number)
        if scene.rng.random() < 0.5:
            yield _SECOND_PARTICIPANT_S
            scene.switchboard.drop(call, ringing[0].dn.number, "")
    yield from answered_or_not(scene, call, answered=scene.rng.random() < 0.8)


def rung_twice(scene: Scene) -> Play:
    """Play a call of a queue that rings one agent, who answers only the second time."""
    plan, switchboard = scene.plan, scene.switchboard
    call = yield from arrive(scene, line(scene, plan.target))
    switchboard.route(call, plan.target)
    agent = next(iter(scene.cast.agents(plan.target)), "")
    if agent:
        switchboard.poll(call, [agent])
        yield plan.ring_out
        switchboard.no_answer(call)
        yield 1.5
        if agent in scene.cast.agents(plan.target):
            switchboard.poll(call, [agent])
            yield plan.ring
            pick_up(scene, call)
            yield from talk(scene, call)
            return
    yield from in_queue(scene, call)


def queue_callback(scene: Scene) -> Play:
    """Play a caller who asks a queue to be called back, and the call back by an agent."""
    plan, switchboard = scene.plan, scene.switchboard
    queue = scene.rng.choice(scene.cast.directory.queue_numbers() or [""])
    if plan.caller in HIDDEN or not queue:
        raise NoRoom
    call = yield from arrive(scene, line(scene, queue))
    switchboard.route(call, queue, greeting=scene.cast.greets(queue))
    yield plan.menu
    switchboard.route(call, plan.target)
    yield plan.menu
    yield from _over(scene, call)
    agent = next(iter(scene.cast.agents(queue)), "")
    if not agent:
        raise NoRoom
    second = scene.begin(switchboard.call_back(agent, plan.outside[0], plan.target))
    yield plan.ring
    pick_up(scene, second)
    yield from answered_or_not(scene, second)


def called_back(scene: Scene) -> Play:
    """Play a missed caller who is called back, at the same number in another notation."""
    plan = scene.plan
    if plan.caller in HIDDEN:
        raise NoRoom
    caller = yield from _missed(scene)
    back = scene.begin(
        scene.switchboard.dial(
            scene.cast.free(caller or plan.parties[0]), redialled(plan.outside[0])
        )
    )
    yield from answered_or_not(scene, back, answered=scene.rng.random() < 0.8)


def calls_again(scene: Scene) -> Play:
    """Play a missed caller who rings again and reaches somebody."""
    yield from _missed(scene)
    again = yield from ring_directly(scene)
    yield from answered_or_not(scene, again)


def _missed(scene: Scene) -> Generator[Step, None, str]:
    """Let a caller be missed, let some time pass, and return the extension that rang."""
    call = yield from ring_directly(scene)
    rang = [leg.dn.number for leg in call.ringing()]
    yield scene.plan.ring_out
    yield from _over(scene, call)
    return rang[0] if rang else ""


def _over(scene: Scene, call: SimulatedCall) -> Play:
    """End a call and let some time pass; the scene goes on."""
    scene.switchboard.end(call)
    scene.forget()
    yield scene.plan.ring_out
