"""Serve the pages for people: the start page, the wallboard, its help, the wall of many PBXs.

They are at ``/``, ``/wall``, ``/wall/help`` and ``/fleet``. The start page shows what runs here and
has a console of the stream. The pages are plain ES modules without a build step, from files that
come with the gateway. They load nothing from elsewhere.

An import map in the page gives each module its address with a tag in it, so that clients may
keep the file for ever. The page's policy allows that one inline text by its hash.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.docs.document_pages import (
    TEXT_POLICY,
    Document,
    Handouts,
    RenderedDocument,
    document_of,
)
from gateway.docs.text_page import text_page
from gateway.docs.translation import catalogue, said
from gateway.operations.operation_table import COMMANDS, Command

_STATIC: Final = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".ts": "application/typescript",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"
FROM_DEPLOY: Final = {
    "start/wall.webp": "wall.webp",
    "wall/help.md": "wallboard.md",
    "wall/help.ru.md": "wallboard.ru.md",
}
"""Files that have their place in ``deploy/`` in a checkout; the build puts them here."""
_HELP: Final = {
    "/wall/help": ("wall/help.md", "The wallboard", "Wallboard", "en"),
    "/wall/help.ru": ("wall/help.ru.md", "Табло", "Табло", "ru"),
}
"""Address of a help page → its text, its title, the link back, its language."""
_LINK_IN_REPOSITORY: Final = re.compile(r"\[([^\]\[]*)\]\([^()\s]*\.md\)")
"""A link to another page of the repository, which the gateway does not serve."""
_NAMED: Final = {
    "callmon": "callmon.js",
    "htm": "vendor/htm/htm.js",
    "preact": "vendor/preact/preact.js",
    "preact/hooks": "vendor/preact/hooks.js",
    "@preact/signals": "vendor/signals/signals.js",
    "@preact/signals-core": "vendor/signals/signals-core.js",
}
"""Modules that others import by a name."""
_CLIENT: Final = ("callmon.js", "callmon.d.ts")
"""The stream's client, which pages of other origins may load too."""
_FOLDERS: Final = ("icons", "wall", "fleet", "start", "vendor")
_MANIFEST: Final = "icons/wall.webmanifest"
_EMPTY_MAP: Final = '<script type="importmap"></script>'
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'sha256-{map}'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data:; manifest-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def pages(version: str, handouts: Handouts) -> list[BaseRoute]:
    """Return the routes of the pages and of their files.

    ``version``: callmon's. ``handouts``: counts what is sent.
    """
    files = {name: RenderedDocument(partial(_file, name), handouts) for name in _files()}
    words = {"version": escape(version), "commands": _rows(COMMANDS.values())}
    kept = {
        "/": RenderedDocument(lambda: _page("start", words), handouts),
        "/wall": RenderedDocument(lambda: _page("wall"), handouts),
        "/fleet": RenderedDocument(lambda: _page("fleet"), handouts),
        **{path: RenderedDocument(partial(_help, *told), handouts) for path, told in _HELP.items()},
    } | {f"/static/{name}": file for name, file in files.items()}

    async def manifest(request: Request) -> Response:
        settings = request.query_params.get("settings")
        if not settings:
            return await files[_MANIFEST].answer(request)
        return await RenderedDocument(partial(_manifest, settings), handouts).answer(request)

    return [
        Route(f"/static/{_MANIFEST}", manifest),
        *(Route(path, document.answer) for path, document in kept.items()),
    ]


def _files() -> list[str]:
    found = (
        path
        for folder in _FOLDERS
        for path in (_STATIC / folder).rglob("*")
        if path.suffix in _TYPES
    )
    pictures = (name for name in FROM_DEPLOY if name.endswith(".webp"))
    return sorted(
        {
            *_CLIENT,
            "theme.js",
            *pictures,
            *(path.relative_to(_STATIC).as_posix() for path in found),
        }
    )


def _file(name: str) -> Document:
    return document_of(_path(name).read_bytes(), _TYPES[Path(name).suffix], shared=name in _CLIENT)


def _path(name: str) -> Path:
    """Return where a file is: among the pages, or in a checkout's ``deploy/``."""
    path = _STATIC / name
    return _DEPLOY / FROM_DEPLOY[name] if name in FROM_DEPLOY and not path.exists() else path


def _manifest(settings: str) -> Document:
    """Return the manifest of an app that opens the wall with these settings of its address."""
    manifest = json.loads(_path(_MANIFEST).read_bytes())
    manifest["start_url"] += f"?{settings}"
    return document_of(json.dumps(manifest).encode(), _TYPES[".webmanifest"])


def _help(name: str, title: str, back: str, language: str) -> Document:
    text = _LINK_IN_REPOSITORY.sub(r"\1", _path(name).read_text(encoding="utf-8"))
    page = text_page(text, title=title, back=back, to=f"../wall?lang={language}", language=language)
    return document_of(page.encode(), "text/html", TEXT_POLICY)


def _page(folder: str, words: dict[str, str] | None = None) -> Document:
    """Return the page of a folder.

    Every address of a file gets the file's tag, and the import map is put in its place.
    """
    page = (_STATIC / folder / "index.html").read_text(encoding="utf-8")
    for word, text in (words or {}).items():
        page = page.replace(f"{{{{{word}}}}}", text)
    loaded = [name for name in _files() if not name.endswith(".woff2")]
    tagged = {f"static/{name}": f"static/{name}?v={_file(name).tag}" for name in loaded}
    for address, with_tag in tagged.items():
        page = page.replace(f'"{address}"', f'"{with_tag}"')
    modules = {
        f"./{address}": f"./{with_tag}"
        for address, with_tag in tagged.items()
        if address.endswith(".js")
    }
    modules |= {name: modules[f"./static/{file}"] for name, file in _NAMED.items()}
    import_map = json.dumps({"imports": modules}, separators=(",", ":"))
    page = page.replace(_EMPTY_MAP, _EMPTY_MAP.replace("><", f">{import_map}<"))
    policy = _POLICY.format(map=b64encode(sha256(import_map.encode()).digest()).decode())
    return document_of(page.encode(), "text/html", policy)


def _rows(commands: Iterable[Command]) -> str:
    return "\n".join(
        f"<tr><td><code>{escape(command.name)}</code></td>"
        f'<td data-in-ru="{escape(_in_russian(command.summary))}">{escape(command.summary)}</td>'
        f"<td>{command.scope}</td></tr>"
        for command in commands
    )


def _in_russian(summary: str) -> str:
    """Return what a command does, as the API's description says it."""
    told = said(summary[:1].upper() + summary[1:], catalogue("ru"))
    return told if told[1:2].isupper() else told[:1].lower() + told[1:]
