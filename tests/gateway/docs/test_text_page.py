"""Test how a text in Markdown becomes a page."""

from __future__ import annotations

from gateway.docs.text_page import text_page


def _page(text: str) -> str:
    return text_page(text, title="A title & more", back="Back", to="../", language="ru")


def test_the_title_is_text_and_the_language_is_told() -> None:
    page = _page("# Words")
    assert "<title>A title &amp; more</title>" in page
    assert '<html lang="ru">' in page
    assert '<a href="../">Back</a>' in page


def test_the_parts_are_listed_and_can_be_linked_to() -> None:
    page = _page("# A\n\n## First part\n\ntext\n\n### leg\n\n## C & D\n")
    assert '<li><a href="#First-part">First part</a></li><li><a href="#C-&amp;-D">' in page
    assert '<h2 id="First-part">First part</h2>' in page
    assert '<h3 id="leg">leg</h3>' in page


def test_links_are_relative_to_the_root_of_the_gateway() -> None:
    page = _page("[a](openapi.json) [b](#leg) [c](https://example.com/) [d](/docs)")
    for target in ("../openapi.json", "#leg", "https://example.com/", "/docs"):
        assert f'<a href="{target}">' in page


def test_html_in_a_text_is_shown_and_not_obeyed() -> None:
    page = _page('<script>alert(1)</script> <b onclick="x">b</b> [x](javascript:alert(1))')
    assert "&lt;script&gt;" in page
    assert page.count("<script") == 1
    assert 'href="javascript' not in page


def test_tables_are_tables() -> None:
    assert "<td>a|b</td>" in _page("| x |\n| --- |\n| a\\|b |")
