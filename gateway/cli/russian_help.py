"""Say the help of the commands in Russian, for those who hang up wallboards.

The other commands are for administrators; of these only the summaries are translated.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, cast

from typer.core import TyperCommand, TyperGroup, TyperOption

_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables that name the language, the strongest first (POSIX, 8.2)."""

RUSSIAN: Final[Mapping[str, str]] = {
    "Live call monitor for 3CX.": "Монитор звонков 3CX в реальном времени.",
    "Print the version.": "Напечатать версию.",
    "Show live calls of a simulated PBX: everything in one process on loopback.": (
        "Показать звонки имитируемой АТС: всё в одном процессе, только на этом компьютере."
    ),
    "Port of the gateway.": "Порт сервера.",
    "Extensions of the simulated PBX.": "Сколько внутренних номеров у имитируемой АТС.",
    "Queues of the simulated PBX.": "Сколько очередей у имитируемой АТС.",
    "Calls a minute; as many as in a busy hour of so many extensions if not given.": (
        "Звонков в минуту; если не задано — как в час пик при таком числе номеров."
    ),
    "The same seed makes the same calls.": "При одном и том же числе звонки одни и те же.",
    "Hours of calls that have passed when the demo begins.": (
        "Сколько часов звонков уже прошло к началу показа."
    ),
    "Also make a key that may change things.": "Создать и ключ, которым можно управлять.",
    "Play this recording instead of simulating a PBX.": "Воспроизвести запись вместо имитации АТС.",
    "Speed of --replay: 2 is twice as fast as real time.": (
        "Скорость для --replay: 2 — вдвое быстрее, чем было."
    ),
    "Open the wallboard in a browser; the default is yes if there is a screen.": (
        "Открыть табло в браузере; если есть экран — по умолчанию да."
    ),
    "Answer under this host too, as a tunnel needs; repeatable.": (
        "Отвечать и под этим именем, как нужно для туннеля; можно повторять."
    ),
    "Print changes as they happen.": "Печатать изменения по мере того, как они происходят.",
    "Address of a gateway.": "Адрес сервера.",
    "API key.": "Ключ.",
    "Topics, separated by commas.": "Темы через запятую.",
    "Print one JSON object for each change, with whole entities.": (
        "Печатать каждое изменение объектом JSON, с записями целиком."
    ),
    "PEM file of the authorities to trust for https, instead of the system's.": (
        "Файл PEM с центрами сертификации для https вместо системных."
    ),
    "Do not check the gateway's certificate; for trials only.": (
        "Не проверять сертификат сервера; только для проб."
    ),
    "Show calls, queues, agents and missed calls live in the terminal.": (
        "Показывать звонки, очереди, операторов и пропущенные прямо в терминале."
    ),
    "Show the status. Exit code 0: all is live, 1: something is stale or missing, 2: not known.": (
        "Показать состояние. Код 0: всё работает, 1: что-то устарело или пропало, 2: неизвестно."
    ),
    "Settings file. Not given: /etc/callmon/callmon.toml, else ./callmon.toml.": (
        "Файл настроек. Если не задан: /etc/callmon/callmon.toml, иначе ./callmon.toml."
    ),
    "Print the status as JSON.": "Напечатать состояние в JSON.",
    "Make, list and revoke API keys.": "Создать, перечислить или отозвать ключи.",
    "Make a key; it is shown once.": "Создать ключ; он показывается один раз.",
    "Name of the key, for people and logs.": "Имя ключа, для людей и журналов.",
    "Name of the PBX with which the key is stored; needed if there are several.": (
        "Имя АТС, при которой хранится ключ; нужно, если их несколько."
    ),
    "The PBX of the key; needed if there are several. For several: names separated by commas, "
    "tenant:NAME, or * for all.": (
        "АТС, для которой ключ; нужно, если их несколько. Для нескольких: имена через запятую, "
        "tenant:ИМЯ или * для всех."
    ),
    "Name of the PBX, for a key for several.": "Имя АТС, для ключа от нескольких.",
    (
        "Scopes, separated by commas: read, contacts, control, admin, sql. Only contacts shows the "
        "address book and people's e-mail addresses, mobile numbers and SIP ids."
    ): (
        "Права через запятую: read, contacts, control, admin, sql. Адресную книгу, почту, "
        "мобильные номера и SIP-имена сотрудников показывает только contacts."
    ),
    "Days until the key expires; default: never.": (
        "Через сколько дней ключ истекает; по умолчанию никогда."
    ),
    "Limit the key to these extensions, separated by commas.": (
        "Ограничить ключ этими внутренними номерами, через запятую."
    ),
    "Limit the key to these queues.": "Ограничить ключ этими очередями.",
    "Limit the key to these ring groups.": "Ограничить ключ этими группами вызова.",
    "Accept the key only from these networks, such as 192.0.2.0/24.": (
        "Принимать ключ только из этих сетей, например 192.0.2.0/24."
    ),
    "Form of the instants in answers to queries that name none.": (
        "Вид моментов времени в ответах на запросы, где он не назван."
    ),
    "Such requests a minute; 0: no limit; default: the gateways' setting.": (
        "Таких запросов в минуту; 0: без предела; по умолчанию как настроено на серверах."
    ),
    "Do not store the key: print what to add to the settings file.": (
        "Не сохранять ключ: напечатать, что добавить в файл настроек."
    ),
    "List the keys that were made by command; those of the settings file are not listed.": (
        "Перечислить ключи, созданные командой; ключи из файла настроек не перечисляются."
    ),
    "Revoke a key: within a second no gateway accepts it any more, and its streams end.": (
        "Отозвать ключ: через секунду его не принимает ни один сервер, его потоки кончаются."
    ),
    "Run a simulated 3CX v20 alone.": "Запустить только имитацию 3CX v20.",
    "Watch the PBXs of the settings file and publish what changes.": (
        "Следить за АТС из файла настроек и сообщать об изменениях."
    ),
    "Serve queries and the stream.": "Отвечать на запросы и вести поток.",
    "Print the state as JSON.": "Напечатать текущее состояние в JSON.",
    "Test the settings against the PBX and Redis, and say what is wrong.": (
        "Проверить настройки на АТС и Redis и сказать, что не так."
    ),
    "Record what a PBX sends in a file, for ``demo --replay`` and tests.": (
        "Записать в файл, что присылает АТС, для demo --replay и тестов."
    ),
    "Print the audit log: time, key, caller's address, command and result of each entry.": (
        "Напечатать журнал действий: время, ключ, адрес, команда и итог каждой записи."
    ),
    "Copy what this machine's monitor keeps in its file: keys, the audit log, statistics.": (
        "Сохранить копию того, что монитор хранит в своём файле: ключи, журнал, статистику."
    ),
    "Restore a backup while the monitor does not run; the previous file is kept beside it.": (
        "Восстановить копию, пока монитор не работает; прежний файл остаётся рядом."
    ),
}
"""First paragraph of a help text → its Russian."""


def speaks_russian(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the user's language is Russian."""
    named = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return named.startswith("ru")


def translate(command: TyperCommand | TyperGroup) -> None:
    """Put Russian in the place of the command's help, and of its options' and its commands'."""
    if command.help:
        first, *others = command.help.split("\n\n")
        command.help = "\n\n".join((RUSSIAN.get(first, first), *others))
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.help:
            parameter.help = RUSSIAN.get(parameter.help, parameter.help)
    if isinstance(command, TyperGroup):
        for inner in command.commands.values():
            translate(cast("TyperCommand | TyperGroup", inner))
