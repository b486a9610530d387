"""Provide the steps from which :mod:`monitor.simulator.traffic.scenarios` makes its plays."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeAlias

from monitor.simulator.calls.model import OperationRefused, SimulatedCall
from monitor.simulator.traffic.call_parties import FreeTrunk, InQueue, NoRoom, Play, Scene, Step

_MOMENT_S = 0.3
"""Seconds for which a call is Initiating."""
_ENTERING_S = (0.3, 1.6)
"""Fewest and most seconds for which a call is Transferring on its way into a queue."""
_GREETING_S = 2.5
"""Seconds of a queue's greeting, before the first agent rings."""
_PAUSE_S = 1.5
"""Seconds between two rounds of ringing."""

_Made: TypeAlias = Generator[Step, None, SimulatedCall]
_Begun: TypeAlias = Generator[Step, None, tuple[SimulatedCall, str]]


def line(scene: Scene, target: str) -> FreeTrunk:
    """Return a random way by which calls from outside come to a number.

    If ``target`` is empty, it is a trunk without rules. Raises NoRoom if there is no way.
    """
    lines = scene.cast.lines_to(target)
    if not lines:
        raise NoRoom
    return scene.rng.choice(lines)


def arrive(scene: Scene, line: FreeTrunk) -> _Made:
    """Let a call come in."""
    call = scene.begin(scene.switchboard.arrive(line.trunk, scene.plan.caller, line.did, line.rule))
    yield _MOMENT_S
    return call


def ring_directly(scene: Scene) -> _Made:
    """Let a call come in and ring at an extension. If none is free, voicemail takes it."""
    callee = free_or(scene, scene.plan.parties[0])
    call = yield from arrive(scene, line(scene, callee))
    scene.switchboard.route(call, callee)
    return call


def dial_out(scene: Scene) -> SimulatedCall:
    """Call a number outside from an extension. Raises NoRoom."""
    caller = scene.cast.free(scene.plan.parties[0])
    trunks = scene.cast.trunks()
    if not trunks:
        raise NoRoom
    return scene.begin(
        scene.switchboard.dial(caller, scene.plan.outside[0], trunk=scene.rng.choice(trunks))
    )


def dial_inside(scene: Scene) -> SimulatedCall:
    """Call an extension from another. Raises NoRoom."""
    caller = scene.cast.free(scene.plan.parties[0])
    callee = scene.cast.free(scene.plan.parties[1], caller)
    return scene.begin(scene.switchboard.dial(caller, callee))


def talk_begun(scene: Scene) -> _Begun:
    """Begin a talk: from outside, inside, or to the outside.

    Returns the call and the extension in it that will transfer.
    """
    match scene.rng.randrange(4):
        case 0:
            call = dial_inside(scene)
        case 1:
            call = dial_out(scene)
        case _:
            call = yield from ring_directly(scene)
    yield scene.plan.ring
    pick_up(scene, call)
    extensions = [leg.dn.number for leg in call.talkers() if leg.dn.kind == "extension"]
    return call, scene.rng.choice(extensions)


def in_queue(scene: Scene, call: SimulatedCall, *, answered: bool = True) -> Play:
    """Keep the call in a queue until an agent answers or the caller has waited enough."""
    plan, switchboard = scene.plan, scene.switchboard
    held = call.of_kind("queue")
    if held is None:
        raise OperationRefused("NotSpecified", "the call has left its queue")
    if call.state == "Transferring":
        yield scene.rng.uniform(*_ENTERING_S)
        switchboard.wait(call)
    else:
        yield _GREETING_S
    leaves, rounds = scene.clock() + plan.patience, 0
    while True:
        while not (agents := scene.cast.agents(held.dn.number)):
            if scene.clock() >= leaves:
                return
            yield InQueue(held.dn.number, leaves - scene.clock())
        chosen = agents if scene.cast.rings_all(held.dn.number) else [agents[rounds % len(agents)]]
        switchboard.poll(call, chosen)
        if answered and rounds >= plan.rounds:
            yield plan.ring
            pick_up(scene, call)
            yield from talk(scene, call)
            return
        rounds += 1
        left = leaves - scene.clock()
        yield min(plan.ring_out, max(0.0, left))
        if left <= plan.ring_out:
            return
        switchboard.no_answer(call)
        yield _PAUSE_S


def answered_or_not(scene: Scene, call: SimulatedCall, *, answered: bool = True) -> Play:
    """Go on with a call whose phones ring, or that a host has taken in their place."""
    plan, switchboard = scene.plan, scene.switchboard
    ringing = call.ringing()
    if ringing and not answered:
        yield plan.ring_out
        voicemail = switchboard.router.special("specialmenu")
        if (
            voicemail is None
            or len(ringing) > 1
            or ringing[0].dn.kind != "extension"
            or scene.rng.random() < 0.5
        ):
            return
        switchboard.divert(call, ringing[0].dn.number, voicemail.number)
    elif ringing:
        yield plan.ring
        pick_up(scene, call)
    yield from talk(scene, call)


def at_app(scene: Scene, call: SimulatedCall) -> Play:
    """Listen to a program at its route point, press keys, and hang up if it does nothing."""
    for _ in range(scene.rng.randint(1, 3)):
        yield scene.plan.menu
        scene.switchboard.press(call, str(scene.rng.randrange(10)))
    yield from talk(scene, call)


def pick_up(scene: Scene, call: SimulatedCall) -> None:
    """Answer one of the ringing phones, at one of its devices."""
    ringing = call.ringing()
    if not ringing:
        raise OperationRefused("NotSpecified", "nothing rings any more")
    leg = scene.rng.choice(ringing)
    phones = [part for part in leg.parts if part.device_id] or leg.parts
    scene.switchboard.answer(call, leg.dn.number, scene.rng.choice(phones).device_id)


def talk(scene: Scene, call: SimulatedCall) -> Play:
    """Talk to each other or to a machine; then one party hangs up."""
    host = call.host is not None
    yield scene.plan.menu if host else scene.plan.talk
    scene.switchboard.drop(call, scene.rng.choice([leg.dn.number for leg in call.talkers()]))


def free_now(scene: Scene, wish: str, *others: str) -> str:
    """Return a free extension, or an empty text if there is none."""
    try:
        return scene.cast.free(wish, *others)
    except NoRoom:
        return ""


def free_or(scene: Scene, wish: str) -> str:
    """Return a free extension, or the wished one, although it is busy, if there is none."""
    return free_now(scene, wish) or wish
