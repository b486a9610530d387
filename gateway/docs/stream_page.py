"""Tell the AsyncAPI document in Markdown, for people: ``/docs/stream``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from monitor.shared.codec import to_json

Schema = Mapping[str, Any]

_LONGEST_EXAMPLE: Final = 1_500
"""Characters of an example; what is longer is in the document."""


def stream_text(document: Mapping[str, Any]) -> str:
    """Return the text: what the stream is, its addresses, frames, entities and close codes.

    ``document``: as :func:`gateway.docs.asyncapi.asyncapi` returns it.
    """
    return "\n\n".join(_paragraphs(document))


def _paragraphs(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {document['info']['title']}"
    yield "[По-русски](docs/stream?lang=ru)"
    yield document["info"]["description"]
    yield "The same for tools: [asyncapi.json](asyncapi.json)."
    yield "## Addresses"
    yield _table(("address", "what it is"), _addresses(document["channels"]))
    yield "## Parameters of the address"
    query = document["channels"]["stream"]["bindings"]["ws"]["query"]
    yield _fields(query)
    components = document["components"]
    told: set[str] = set()
    for heading, operation in (
        ("## Frames that the gateway sends", "streamTells"),
        ("## Frames that a client sends", "streamHears"),
    ):
        yield heading
        for named in document["operations"][operation]["messages"]:
            message = components["messages"][_last(named["$ref"])]
            schema = _last(message["payload"]["$ref"])
            told.add(schema)
            yield f"### {message['name']}"
            yield from _schema(components["schemas"][schema])
            yield from _examples(message)
    yield "## Entities"
    for name, schema in components["schemas"].items():
        if name not in told:
            yield f"### {name}"
            yield from _schema(schema)
    yield "## Close codes"
    yield _table(
        ("code", "meaning", "what a client does"),
        ((code, row["meaning"], row["then"]) for code, row in document["x-close-codes"].items()),
    )


def _addresses(channels: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for channel in channels.values():
        yield f"`{channel['address']}`", channel["description"]


def _schema(schema: Schema) -> Iterator[str]:
    if schema.get("description"):
        yield schema["description"]
    if schema.get("properties"):
        yield _fields(schema)


def _fields(schema: Schema) -> str:
    wanted = schema.get("required", ())
    return _table(
        ("field", "type", "description"),
        (
            (f"`{name}`{'' if not wanted or name in wanted else ' ?'}", _kind(field), _said(field))
            for name, field in schema["properties"].items()
        ),
    )


def _said(field: Schema) -> str:
    examples = ", ".join(f"`{_shown(one)}`" for one in field.get("examples", ()))
    said = field.get("description", "")
    return f"{said} For example {examples}." if examples else said


def _kind(field: Schema) -> str:
    """Return the type of a field in a few words, such as ``list of Leg`` or ``text or nothing``."""
    if "$ref" in field:
        name = _last(field["$ref"])
        return f"[{name}](#{name})"
    if "const" in field:
        return f"`{_shown(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{_shown(one)}`" for one in field["enum"])
    for together in ("anyOf", "oneOf"):
        if together in field:
            return " or ".join(_kind(one) for one in field[together])
    kind: Any = field.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(_WORDS.get(str(one), str(one)) for one in kind)
    if kind == "array":
        return f"list of {_kind(field.get('items', {}))}"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"map to {_kind(field['additionalProperties'])}"
    if field.get("format") == "date-time":
        return "instant"
    return _WORDS.get(str(kind), str(kind))


_WORDS: Final[dict[str, str]] = {
    "string": "text",
    "null": "nothing",
    "object": "map",
    "boolean": "true or false",
}


def _examples(message: Mapping[str, Any]) -> Iterator[str]:
    for example in message.get("examples", ())[:1]:
        text = _shown(example["payload"])
        if len(text) > _LONGEST_EXAMPLE:
            text = f"{text[:_LONGEST_EXAMPLE]} …"
        yield f"```\n{text}\n```"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(_cell(text) for text in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _shown(value: object) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
