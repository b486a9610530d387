"""Test the pages as served: cached by their tags, loading nothing from elsewhere."""

from __future__ import annotations

import json
import re
import struct
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from gateway.operations.operation_table import COMMANDS
from tests.gateway.docs.test_document_pages import Links

PAGES = ("/", "/wall", "/fleet")
STATIC = Path(__file__).parents[3] / "gateway" / "static"
OURS = sorted(
    path.relative_to(STATIC).as_posix()
    for folder in ("wall", "fleet", "start")
    for path in (STATIC / folder).iterdir()
)
IMPORT_MAP = re.compile(r'<script type="importmap">(.*?)</script>')


def import_map(page: str) -> str:
    found = IMPORT_MAP.search(page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_needs_no_key_and_is_asked_for_anew(
    http: httpx.AsyncClient, path: str
) -> None:
    page = await http.get(path)
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-cache")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    again = await http.get(path, headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await http.post(path)).status_code == 405


@pytest.mark.parametrize("path", PAGES)
async def test_the_policy_allows_the_import_map_and_nothing_from_elsewhere(
    http: httpx.AsyncClient, path: str
) -> None:
    page = await http.get(path)
    digest = b64encode(sha256(import_map(page.text).encode()).digest()).decode()
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{digest}'",
        "style-src": "'self'",
        "font-src": "'self'",
        "img-src": "'self' data:",
        "manifest-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_only_files_that_come_with_the_gateway(
    http: httpx.AsyncClient, path: str
) -> None:
    page = (await http.get(path)).text
    links = Links(IMPORT_MAP.sub("", page))
    assert not links.inline
    modules = json.loads(import_map(page))["imports"].values()
    loaded = {
        address.removeprefix("./") for address in (*links.loaded, *modules) if address != "data:,"
    }
    assert len(loaded) > 10
    for address in loaded:
        assert address.startswith("static/")
        file = await http.get(f"/{address}")
        assert file.status_code == 200
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["content-type"].startswith(
            ("application/manifest+json", "image/", "text/css", "text/javascript")
        )


async def test_every_import_of_a_module_has_its_tag_in_the_map(http: httpx.AsyncClient) -> None:
    modules = json.loads(import_map((await http.get("/wall")).text))["imports"]
    for name in (*(name for name in OURS if name.endswith(".js")), "callmon.js"):
        for wanted in re.findall(
            r'^(?:import|\} from)\b.*?"([^"]+)";$', (STATIC / name).read_text(), re.MULTILINE
        ):
            at = f"./{urljoin(f'static/{name}', wanted)}" if wanted.startswith(".") else wanted
            assert at in modules, f"{name} imports {wanted}"


async def test_fonts_come_with_the_gateway(http: httpx.AsyncClient) -> None:
    style = (await http.get("/static/vendor/inter/inter.css")).text
    fonts = re.findall(r'url\("([^"]+)"\)', style)
    assert len(fonts) == style.count("url(") == 3
    for font in fonts:
        answer = await http.get(f"/static/vendor/inter/{font}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "font/woff2")


async def test_the_app_that_can_be_installed_is_the_wall_and_has_its_icons(
    http: httpx.AsyncClient,
) -> None:
    address = "/static/icons/wall.webmanifest"
    answer = await http.get(address)
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert urljoin(address, manifest["start_url"]) == urljoin(address, manifest["scope"]) == "/wall"
    settings = "view=queues,agents&wait.800=60,90&title=Зал «А»"
    own = (await http.get(address, params={"settings": settings})).json()
    assert urljoin(address, own["start_url"]) == f"/wall?{settings}"
    assert own | {"start_url": manifest["start_url"]} == manifest
    for icon in manifest["icons"]:
        picture = await http.get(urljoin(address, icon["src"]))
        assert (picture.status_code, picture.headers["content-type"]) == (200, icon["type"])
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", picture.content[16:24])
            assert f"{width}x{height}" == icon["sizes"]


@pytest.mark.parametrize("name", ["callmon.js", *OURS])
def test_our_own_files_name_no_other_server(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    assert not re.search(r"(?:https?|wss?)://", text)
    assert not re.search(r"\b(?:eval|new Function|innerHTML|document\.write)\b", text)


async def test_pages_of_other_origins_may_load_the_client_and_nothing_else(
    http: httpx.AsyncClient,
) -> None:
    for name, kind in (
        ("callmon.js", "text/javascript"),
        ("callmon.d.ts", "application/typescript"),
    ):
        for tag in ("", (await http.get(f"/static/{name}")).headers["etag"]):
            answer = await http.get(f"/static/{name}", headers={"If-None-Match": tag})
            assert answer.status_code == (304 if tag else 200)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
            assert tag or answer.headers["content-type"].startswith(kind)
    for path in ("/wall", "/docs", "/static/theme.js", "/static/wall/wall.js", "/healthz"):
        answer = await http.get(path)
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_every_vendored_library_has_its_licence_and_version() -> None:
    versions = (STATIC / "vendor" / "VERSIONS").read_text()
    for folder in (path for path in (STATIC / "vendor").iterdir() if path.is_dir()):
        assert (folder / "LICENSE").read_text()
        assert all(
            file.name == "LICENSE" or f"{folder.name}/" in versions for file in folder.iterdir()
        )


async def test_nothing_else_of_the_directories_is_served(http: httpx.AsyncClient) -> None:
    for path in (
        "wall/index.html",
        "start/index.html",
        "vendor/VERSIONS",
        "vendor/preact/LICENSE",
        "package.json",
        "wall/",
    ):
        assert (await http.get(f"/static/{path}")).status_code == 404
    assert (await http.get("/wall/")).status_code == 404


async def test_the_start_page_leads_everywhere_and_names_every_command(
    http: httpx.AsyncClient,
) -> None:
    page = (await http.get("/")).text
    named = Links(IMPORT_MAP.sub("", page)).named
    assert {"wall", "docs", "openapi.json", "asyncapi.json", "healthz", "readyz"} <= set(named)
    assert all(name in page for name in COMMANDS)
    assert "{{" not in page


@pytest.mark.parametrize("path", ["/wall/help", "/wall/help.ru"])
async def test_the_help_page_is_the_page_of_the_repository(
    http: httpx.AsyncClient, path: str
) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200
    source = STATIC.parents[1] / "deploy" / f"wallboard{path.removeprefix('/wall/help')}.md"
    for heading in re.findall(r"^## (.*)", source.read_text(encoding="utf-8"), re.MULTILINE):
        assert f">{heading}</h2>" in answer.text
    links = Links(answer.text)
    assert not links.inline
    for name in (*links.loaded, *links.named):
        if name != "data:," and not name.startswith("#"):
            assert (await http.get(f"/wall/{name}")).status_code == 200, name


def test_help_in_each_language_tells_the_same_settings() -> None:
    texts = [
        path.read_text(encoding="utf-8") for path in STATIC.parents[1].glob("deploy/wallboard*.md")
    ]
    assert len(texts) == 2
    english, other = (
        [
            (row.split("|")[1].strip(), row.split("|")[-2].count("`"))
            for row in text.splitlines()
            if row.startswith("| `")
        ]
        for text in texts
    )
    assert len(english) > 10
    assert [name for name, _ in english] == [name for name, _ in other]


def test_the_start_page_says_everything_in_each_language_of_the_wall() -> None:
    page = (STATIC / "start" / "index.html").read_text(encoding="utf-8")
    said = set(re.findall(r'data-say(?:-[a-z-]+)?="(\w+)"', page))
    script = set(re.findall(r"\bwords\.(\w+)\b(?!\")", (STATIC / "start" / "start.js").read_text()))
    assert len(said) > 20
    assert len(script) > 8
    english = _words("words-en.js")
    assert script == set(english)
    states = {"connected", "connecting", "lost", "live", "waiting", "refused", "closed"}
    languages = {path.name for path in (STATIC / "wall").glob("words-*.js")}
    assert languages == {path.name for path in (STATIC / "start").glob("words-*.js")}
    for name in languages - {"words-en.js"}:
        words = _words(name)
        assert said | script == set(words), name
        assert set(re.findall(r"(\w+):", words["states"])) == states, name
        for key, english_word in english.items():
            told = [re.findall(r"^\(.*?\)", word) for word in (english_word, words[key])]
            assert told[0] == told[1], (name, key)
    loader = (STATIC / "start" / "words.js").read_text()
    assert all(f'"{name[6:8]}"' in loader for name in languages)


def _words(name: str) -> dict[str, str]:
    """Return the words of a file of the start page, as they are written there."""
    text = (STATIC / "start" / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^  (\w+): (.*?),\n(?=  \w|})", text, re.MULTILINE | re.DOTALL))
