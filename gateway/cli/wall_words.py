"""Say what calls and agents do in the wall's words, for ``callmon top`` and ``callmon tail``.

The words are read from the wallboard's own files (``gateway/static/wall/words-en.js``), in Russian
for users whose locale is Russian, as ``--help`` is. The rules are those of ``rows.js`` and
``people.js`` beside these files. Entities are plain containers as the stream sends them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from gateway.cli.russian_help import speaks_russian

Entity: TypeAlias = Mapping[str, Any]

_WALL: Final = Path(__file__).parents[1] / "static" / "wall"
_LINE: Final = re.compile(r'^  (\w+): (?:\{(.*)\}|"(.*)"),$', re.MULTILINE)


def words_of(language: str) -> dict[str, str]:
    """Return the wall's words that are plain texts, by key. A dot leads into a group of words."""
    found: dict[str, str] = {}
    source = (_WALL / f"words-{language}.js").read_text(encoding="utf-8")
    for line in _LINE.finditer(source):
        key, group, text = line.groups()
        if group is None:
            found[key] = text
        else:
            found |= {f"{key}.{one}": word for one, word in _group(group)}
    return found


def _group(text: str) -> Iterator[tuple[str, str]]:
    """Yield names and texts of an object's inside, such as ``free: "Free", "on hold": "Held"``."""
    outside, inside = text.split('"')[::2], text.split('"')[1::2]
    quoted = ""
    for before, found, after in zip(outside, inside, outside[1:], strict=False):
        if after.startswith(":"):
            quoted = found
        else:
            yield before.strip(", :") or quoted, found


IN_RUSSIAN: Final = speaks_russian()
WORDS: Final[Mapping[str, str]] = words_of("ru" if IN_RUSSIAN else "en")
"""Key of a word of the wall → the word, in the user's language."""

_BUSY: Final[Mapping[str, str]] = {
    "Talking": "talking",
    "Dialing": "dialing",
    "Listening": "listens",
    "Waiting": "waits",
}
"""Activity of an extension that is in a call and not rung → key of its word."""
_ENDS: Final[Mapping[str, str]] = {
    "answered": "Answered",
    "unanswered": "Not answered",
    "handled": "Taken by a machine",
    "transferred": "Handed over",
    "unknown": "Unknown",
}
"""Outcome of a call that was neither missed nor abandoned → words. The wall does not show these."""


RUSSIAN: Final[Mapping[str, str]] = {
    "Answered": "Отвечен",
    "Not answered": "Не отвечен",
    "Taken by a machine": "Принят автоматом",
    "Handed over": "Передан",
    "Unknown": "Неизвестно",
    "call": "звонок",
    "ended": "завершён",
    "extension": "номер",
    "queue": "очередь",
    "and": "и",
    "PBX": "АТС",
    "connected": "подключена",
    "connecting": "подключение",
    "lost": "связь потеряна",
    "{word} in {queue}": "ждёт в очереди {queue}",
    "snapshot at {position}: {counts}": "всё состояние, позиция {position}: {counts}",
    "nothing heard from the monitor since {since}": "нет данных от монитора с {since}",
    "{topic} {id} is gone": "{topic} {id}: больше нет",
    "{topic} {id} changed": "{topic} {id}: изменение",
    "Call": "Звонок",
    "No.": "№",
    "Talked": "Говорил",
    "There are no queues, or this key may not see them.": (
        "Очередей нет, или этому ключу они не видны."
    ),
    "There are no agents, or this key may not see them.": (
        "Операторов нет, или этому ключу они не видны."
    ),
    "Nothing contains “{find}”.": "Ничто не содержит «{find}».",
    "filter": "фильтр",
    "Filter": "Фильтр",
    "Sort": "Порядок",
    "Pause": "Пауза",
    "Help": "Клавиши",
    "Quit": "Выход",
    "Close": "Закрыть",
    "Keys": "Клавиши",
    "calls, queues, agents, missed calls": "звонки, очереди, операторы, пропущенные",
    "choose a row; Enter shows its details": "выбрать строку; Enter — подробности",
    "filter by what any column shows; Escape shows all again": (
        "фильтр по любому столбцу; Escape снова показывает всё"
    ),
    "sort by the next column; the other way round": "порядок по следующему столбцу; обратный",
    "pause the display; changes meanwhile are counted and shown afterwards": (
        "пауза; изменения за это время считаются и показываются потом"
    ),
    "quit": "выход",
    "Paused; {count} updates wait": "Пауза; ждут изменения: {count}",
    " of {limit}": " из {limit}",
    "The gateway stopped sending: {why}": "Сервер больше не отвечает: {why}",
    "Nothing is heard from the monitor since {since}; this is the last known state": (
        "Нет данных от монитора с {since}; последнее известное состояние"
    ),
    "Nothing is known of the PBX yet": "Об АТС пока ничего не известно",
    "PBX lost since {since}": "Связь с АТС потеряна с {since}",
    "Connecting to the PBX since {since}": "Подключение к АТС с {since}",
    "Connecting to the gateway": "Подключение к серверу",
    "{reason} Trying again; q quits": "{reason} Ещё попытка; q — выход",
    "The gateway is not reached since {since}": "Сервер недоступен с {since}",
    ": {reason} Trying again": ": {reason} Ещё попытка",
    "; trying again": "; ещё попытка",
    "Queue": "Очередь",
    "Agent": "Оператор",
    "Missed": "Пропущен",
    "Extension": "Номер",
    "It has ended.": "Он завершён.",
    "It no longer exists.": "Больше не существует.",
    "began {at}, {ago} ago": "начало {at}, {ago} назад",
    "Answered {at}, talks for {time}": "Отвечен в {at}, разговор {time}",
    "Waits in queue {queue} for {time}": "Ждёт в очереди {queue} уже {time}",
    "For": "За кого",
    "Type": "Вид",
    "Leg": "Плечо",
    "transferred by {who}": "перевёл {who}",
    "{place}. {who}, waits for {time}": "{place}. {who}, ждёт {time}",
    "Nobody waits.": "Никто не ждёт.",
    "Today: {offered} offered, {answered} answered, {abandoned} abandoned, "
    "{shortAbandoned} more in less than {shortBelow} s": (
        "Сегодня: поступило {offered}, отвечено {answered}, потеряно {abandoned}, "
        "ещё {shortAbandoned} за первые {shortBelow} с"
    ),
    "Service level: {level} within {target} s": "Уровень обслуживания: {level} за {target} с",
    "Waits: {waits}; talks: {talks}": "Ожидание: {waits}; разговоры: {talks}",
    "Skill": "Навык",
    "registered": "зарегистрирован",
    "not registered": "не зарегистрирован",
    "none": "нет",
    "no profile": "без профиля",
    "queues: {names}": "очереди: {names}",
    "Today: rung by {offered}, answered {answered}, missed {missed}, "
    "{elsewhere} taken by others; talks {talks}": (
        "Сегодня: поступило {offered}, отвечено {answered}, пропущено {missed}, "
        "взяли другие {elsewhere}; разговоры {talks}"
    ),
    "Of queues: {queueOffered} offered, {queueAnswered} answered": (
        "Из очередей: поступило {queueOffered}, отвечено {queueAnswered}"
    ),
    "Placed {placed}, {placedAnswered} answered; talks {placedTalks}": (
        "Исходящих {placed}, отвечено {placedAnswered}; разговоры {placedTalks}"
    ),
    "{average} on average, {longest} at most": "{average} в среднем, {longest} максимум",
}
"""Text of ``top`` and ``tail`` for which the wall has no word → its Russian."""


def translated(text: str, **values: object) -> str:
    """Return a text of :data:`RUSSIAN` in the user's language, with ``values`` in its places."""
    said = RUSSIAN.get(text, text) if IN_RUSSIAN else text
    return said.format(**values) if values else said


def direction(call: Entity) -> str:
    """Return the key of the word for a call's direction."""
    told = call["direction"]
    if told == "Outbound":
        return "outbound"
    return "internal" if told in ("Internal", "FromInternal") else "inbound"


def progress(call: Entity) -> str:
    """Return the key of the word for what goes on in a call."""
    state = call["state"]
    if state == "Talking" and not _hosted(call):
        return "talking"
    if state in ("Transferring", "Rerouting"):
        return "transferring"
    if any(
        leg["status"] == "Ringing" and leg["dnType"] != "externalline" for leg in call["routingTo"]
    ):
        return "ringing"
    if call["queue"]:
        return "inQueue"
    if any(leg["dnType"] == "ivr" for leg in call["AConnList"]):
        return "inMenu"
    return "dialing" if call["direction"] == "Outbound" else "routing"


def _hosted(call: Entity) -> bool:
    """Return whether the caller hears a queue or a menu and nobody else."""
    hosts = [leg["dnType"] in ("queue", "ivr") for leg in call["talkTo"]]
    return bool(hosts) and all(hosts)


def leg_word(leg: Entity) -> str:
    """Return the word for what a leg does."""
    status: str = leg["status"]
    if leg.get("listening"):
        return WORDS["listens"]
    return WORDS.get(f"legs.{status}") or WORDS.get(status.lower(), status)


def outcome(ended: Entity) -> str:
    """Return the words for how a call ended."""
    told = ended["outcome"]
    if told == "missed":
        return WORDS["missedCall"]
    if told == "abandoned":
        return WORDS["abandonedCall" if queue_of(ended) else "menuCall"]
    return translated(_ENDS.get(told, str(told)))


def queue_of(ended: Entity) -> str:
    """Return the queue of an ended call; empty if it was in none."""
    queue: str = ended["queue"] or next(iter(ended["queues"]), "")
    return queue


def doing(extension: Entity, logged_in: bool | None = None) -> str:
    """Return what an extension does: free, ringing, talking, away or out.

    ``logged_in``: to the queue that is looked at; None: use the status for all queues.
    """
    activity = extension["activity"]
    if activity in _BUSY:
        return "talking"
    if activity == "Ringing":
        return "ringing"
    profile = extension["fwdName"]
    if is_offline(extension):
        return "out"
    if profile and profile != "Available" and not extension["available"]:
        return "away"  # a profile may log out of the queues: then it says more than that
    here = extension["qGlobalStatus"] != "LoggedOut" if logged_in is None else logged_in
    return "free" if here else "out"


def doing_words(extension: Entity, what: str) -> str:
    """Return the words for what an extension does. ``what``: as :func:`doing` returns it."""
    if what == "away":
        name = str(extension["fwdName"])
        return WORDS.get(f"profiles.{name}", name)
    if what == "out":
        return WORDS["offline" if is_offline(extension) else "out"]
    if what != "talking":
        return WORDS[what]
    key, talk = _BUSY[extension["activity"]], talk_of(extension)
    if talk is not None and talk["queue"] and key in ("talking", "waits"):
        key = "inQueue"  # this extension waits in the queue as a caller
    return WORDS[key]


def is_offline(extension: Entity) -> bool:
    """Return whether an extension has no telephone that could ring."""
    return not extension["registered"] or extension["enabled"] == 0


def talk_of(extension: Entity) -> Entity | None:
    """Return the talk that fits the extension's activity, or None.

    A talk with a person comes before one with a queue.
    """
    talks = [talk for talk in extension["talks"] if talk["activity"] == extension["activity"]]
    return next((talk for talk in talks if not talk["queue"]), talks[0] if talks else None)
