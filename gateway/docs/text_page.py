"""Make a page for people of a text in Markdown. Pure.

The page has the start page's style, a list of its parts, and nothing that runs but the script that
takes the wallboard's theme. HTML in the text is shown, not obeyed.
"""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_ABSOLUTE: Final = re.compile(r"[a-z][a-z0-9+.-]*:|[/#]", re.IGNORECASE)


def text_page(text: str, *, title: str, back: str, to: str, language: str = "en") -> str:
    """Return the page, for an address one folder below the gateway's root.

    The links of the text are those of a text at the root. ``back``, ``to``: words and address of
    the link at the head. ``language``: the text's, as HTML names it.
    """
    tokens = _MARKDOWN.parse(text)
    parts = _name_parts(tokens)
    _lower_links(tokens)
    listed = "".join(f'<li><a href="#{name}">{said}</a></li>' for name, said in parts)
    return f"""<!doctype html>
<html lang="{escape(language)}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../static/start/start.css">
<script src="../static/theme.js"></script>
<main class="text">
<nav aria-label="{escape(title)}"><a href="{escape(to)}">{escape(back)}</a><ul>{listed}</ul></nav>
{_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})}</main>
</html>
"""


def _name_parts(tokens: list[Token]) -> list[tuple[str, str]]:
    """Give the headings ids: their words. Return those of the second rank: id, words as HTML."""
    parts = []
    for opening, words in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag in ("h2", "h3"):
            name = "-".join(words.content.split())
            opening.attrSet("id", name)
            if opening.tag == "h2":
                parts.append((escape(name), escape(words.content)))
    return parts


def _lower_links(tokens: list[Token]) -> None:
    """Make links that are relative to the root relative to a folder below it."""
    for token in (child for one in tokens for child in one.children or ()):
        if token.type == "link_open":
            target = str(token.attrGet("href"))
            token.attrSet("href", target if _ABSOLUTE.match(target) else f"../{target}")
