"""Play each kind of call: generators that do a step at the switchboard and yield their next wait.

A play may end at any step, because a program may drop, transfer or divert its call meanwhile. A
step that is impossible by then raises OperationRefused, which ends the play and the calls that it
still has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from monitor.simulator.call_kinds import Kind
from monitor.simulator.traffic import rare_scenarios as rare
from monitor.simulator.traffic.call_parties import NoRoom, Play, Scene
from monitor.simulator.traffic.steps import (
    answered_or_not,
    arrive,
    at_app,
    dial_inside,
    dial_out,
    free_now,
    free_or,
    in_queue,
    line,
    pick_up,
    ring_directly,
    talk,
    talk_begun,
)


def queue(scene: Scene) -> Play:
    """Play a call from outside into a queue.

    The caller waits, agents ring, and one answers or the caller loses patience.
    """
    call = yield from arrive(scene, line(scene, scene.plan.target))
    scene.switchboard.route(call, scene.plan.target, greeting=scene.cast.greets(scene.plan.target))
    yield from in_queue(scene, call, answered=scene.plan.kind != "queue_abandoned")


def ring_group(scene: Scene) -> Play:
    """Play a call from outside to a ring group."""
    call = yield from arrive(scene, line(scene, scene.plan.target))
    scene.switchboard.route(call, scene.plan.target)
    yield from answered_or_not(scene, call, answered=scene.plan.kind == "ring_group")


def menu(scene: Scene) -> Play:
    """Play a call from outside to a voice menu.

    From there it goes to a queue or an extension, or the caller hangs up.
    """
    plan = scene.plan
    call = yield from arrive(scene, line(scene, plan.target))
    scene.switchboard.route(call, plan.target)
    yield plan.menu
    if plan.kind == "menu_abandoned":
        return
    if plan.kind == "menu_extension":
        scene.switchboard.route(call, free_or(scene, plan.parties[0]))
        yield from answered_or_not(scene, call)
        return
    chosen = scene.rng.choice(scene.cast.directory.queue_numbers())
    scene.switchboard.route(call, chosen, greeting=scene.cast.greets(chosen))
    yield from in_queue(scene, call)


def direct(scene: Scene) -> Play:
    """Play a call from outside to an extension."""
    call = yield from ring_directly(scene)
    yield from answered_or_not(scene, call, answered=scene.plan.kind == "direct")


def outbound(scene: Scene) -> Play:
    """Play a call from an extension to the outside."""
    call = dial_out(scene)
    yield from answered_or_not(scene, call, answered=scene.plan.kind == "outbound")


def internal(scene: Scene) -> Play:
    """Play a call from one extension to another."""
    call = dial_inside(scene)
    yield from answered_or_not(scene, call, answered=scene.plan.kind == "internal")


def internal_busy(scene: Scene) -> Play:
    """Play a call to an extension that is in a call. Voicemail takes it."""
    plan, switchboard = scene.plan, scene.switchboard
    caller = scene.cast.free(plan.parties[0])
    callee = next(
        (number for number in plan.parties[1:] if switchboard.busy(number) and number != caller), ""
    )
    if not callee:
        callee = scene.cast.free(plan.parties[1], caller)
        other = switchboard.dial(callee, plan.outside[0])
        call = scene.begin(switchboard.dial(caller, callee))
        scene.begin(other)
    else:
        call = scene.begin(switchboard.dial(caller, callee))
    yield from answered_or_not(scene, call)


def internal_queue(scene: Scene) -> Play:
    """Play a call from an extension into a queue."""
    target = scene.plan.target
    caller = scene.cast.free(scene.plan.parties[0])
    call = scene.begin(scene.switchboard.dial(caller, target, greeting=scene.cast.greets(target)))
    yield from in_queue(scene, call)


def internal_group(scene: Scene) -> Play:
    """Play a call from an extension to a ring group."""
    members = scene.cast.members(scene.plan.target)
    caller = scene.cast.free(scene.plan.parties[0], *members)
    if not members:
        raise NoRoom
    call = scene.begin(scene.switchboard.dial(caller, scene.plan.target))
    yield from answered_or_not(scene, call)


def blind(scene: Scene) -> Play:
    """Play a talk that one party transfers blindly. The target answers or does not."""
    plan, switchboard = scene.plan, scene.switchboard
    call, taker = yield from talk_begun(scene)
    yield plan.talk / 2
    target = free_now(scene, plan.parties[1], taker)
    if target:
        switchboard.transfer(call, taker, target)
        if plan.kind == "blind":
            yield from answered_or_not(scene, call)
            return
        yield plan.ring_out
        switchboard.no_answer(call)
        if call.over:
            return
        yield from answered_or_not(scene, call, answered=scene.rng.random() < 0.7)
        return
    yield from talk(scene, call)


def attended(scene: Scene) -> Play:
    """Play a talk in which one party calls somebody else and then hands the talk over.

    The hand-over comes after the third party has answered, or while its phone still rings.
    """
    plan, switchboard = scene.plan, scene.switchboard
    call, taker = yield from talk_begun(scene)
    yield plan.talk / 3
    target = free_now(scene, plan.parties[1], taker)
    if target:
        second = scene.begin(switchboard.dial(taker, target))
        yield plan.ring
        if plan.kind == "attended":
            pick_up(scene, second)
            yield plan.talk / 3
        switchboard.merge(call, second, taker)
        call = second if call.over else call
        scene.go_on_with(call)
        if plan.kind == "attended_ringing":
            yield plan.ring
            pick_up(scene, call)
    yield from talk(scene, call)


def conference(scene: Scene) -> Play:
    """Play a conference of three extensions, which leave one by one."""
    plan, switchboard = scene.plan, scene.switchboard
    call = dial_inside(scene)
    yield plan.ring
    pick_up(scene, call)
    yield plan.talk / 2
    guest = free_now(scene, plan.parties[2])
    if guest:
        switchboard.invite(call, call.originator, guest)
        yield plan.ring
        switchboard.answer(call, guest)
        yield plan.talk
        switchboard.drop(call, guest if scene.rng.random() < 0.5 else call.originator)
    yield from talk(scene, call)


def forward(scene: Scene) -> Play:
    """Play a call from outside that is forwarded to the outside."""
    plan = scene.plan
    call = yield from arrive(scene, line(scene, ""))
    scene.switchboard.route(call, plan.outside[1])
    yield from answered_or_not(scene, call, answered=plan.kind == "forward")


def rerouted(scene: Scene) -> Play:
    """Play a call from outside to an extension that does not answer.

    Another extension, a mobile or voicemail takes it.
    """
    plan, switchboard = scene.plan, scene.switchboard
    call = yield from ring_directly(scene)
    yield plan.ring_out
    callee = call.ringing()
    if callee:
        substitute = free_now(scene, plan.parties[1], callee[0].dn.number) or plan.outside[1]
        switchboard.divert(
            call, callee[0].dn.number, scene.rng.choice((substitute, plan.outside[1]))
        )
    yield from answered_or_not(scene, call)


def app(scene: Scene) -> Play:
    """Play a call from outside to a program's route point."""
    call = yield from arrive(scene, line(scene, scene.plan.target))
    scene.switchboard.route(call, scene.plan.target)
    if call.ringing():
        yield scene.plan.ring_out
        return
    yield from at_app(scene, call)


def people(scene: Scene) -> Play:
    """Play the people in a call that a program made or changed.

    Phones ring and are picked up, and talks end.
    """
    call, switchboard = scene.calls[0], scene.switchboard
    while not call.over:
        ringing = call.ringing()
        if ringing:
            patience = call.timeout or scene.plan.ring_out
            if scene.rng.random() < 0.8 and scene.plan.ring < patience:
                yield scene.plan.ring
                pick_up(scene, call)
            else:
                yield patience
                switchboard.no_answer(call)
        elif call.of_kind("queue") is not None:
            yield from in_queue(scene, call)
            return
        elif call.of_kind("routepoint") is not None:
            yield from at_app(scene, call)
            return
        else:
            yield from talk(scene, call)
            return


PLAYS: Final[Mapping[Kind, Callable[[Scene], Play]]] = {
    "queue": queue,
    "queue_abandoned": queue,
    "ring_group": ring_group,
    "ring_group_unanswered": ring_group,
    "menu_queue": menu,
    "menu_extension": menu,
    "menu_abandoned": menu,
    "direct": direct,
    "direct_unanswered": direct,
    "outbound": outbound,
    "outbound_unanswered": outbound,
    "internal": internal,
    "internal_unanswered": internal,
    "internal_busy": internal_busy,
    "internal_queue": internal_queue,
    "internal_group": internal_group,
    "blind": blind,
    "blind_unanswered": blind,
    "attended": attended,
    "attended_ringing": attended,
    "conference": conference,
    "forward": forward,
    "forward_unanswered": forward,
    "rerouted": rerouted,
    "app": app,
    "queue_callback": rare.queue_callback,
    "rung_twice": rare.rung_twice,
    "holiday": rare.incoming_machine,
    "second_participant": rare.second_participant,
    "called_back": rare.called_back,
    "calls_again": rare.calls_again,
    "ordered": rare.ordered,
    "own_voicemail": rare.machine,
    "own_menu": rare.machine,
    "own_parking": rare.machine,
    "own_fax": rare.machine,
    "waiting_agent": rare.waiting_agent,
    "two_calls": rare.two_calls,
    "paging": rare.paging,
    "intercom": rare.intercom,
    "parked": rare.parked,
    "supervised": rare.supervised,
    "fax": rare.incoming_machine,
    "ai_agent": rare.ai_agent,
    "crm_app": rare.crm_app,
}
