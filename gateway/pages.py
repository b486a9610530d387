"""``/``: a plain page that says what runs here and where the queries are. Everything on it comes from the table."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape

from starlette.responses import Response

from gateway.commands_table import COMMANDS, Command
from gateway.parameters import Parameter

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
code { font-size: .9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid #8884; }
td:first-child { white-space: nowrap; }
td:nth-child(2) { width: 40%; }
@media (max-width: 45rem) {
  thead { display: none; }
  tr { display: grid; grid-template-columns: 1fr auto; padding: .5rem 0; border-bottom: 1px solid #8884; }
  td { border: 0; padding: 0; }
  td:nth-child(2) { grid-column: 1 / -1; order: 3; width: auto; }
  td:nth-child(3) { grid-column: 1 / -1; order: 2; }
  td:nth-child(4) { order: 1; opacity: .75; }
}
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"


def front_page(version: str) -> Response:
    """The page. It needs no key and loads nothing."""
    return Response(
        _page(version),
        media_type="text/html",
        headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
    )


def _page(version: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>callmon</title>
<style>{_STYLE}</style>
<h1>callmon {escape(version)}</h1>
<p>A live call monitor for 3CX. Here is its gateway.</p>
<ul>
<li>Ask: <code>/webapi/{{key}}/{{command}}?{{parameters}}</code>, or <code>/webapi/{{command}}</code> with the header
<code>Authorization: Bearer {{key}}</code> or <code>X-API-Key: {{key}}</code>. <code>/webapi/{{key}}/</code> says what
the key may do.</li>
<li>Watch: a WebSocket to <code>/webapi/{{key}}/stream</code>.</li>
<li>Try it: <a href="docs">docs</a>. For tools: <a href="openapi.json">openapi.json</a> (OpenAPI),
<a href="asyncapi.json">asyncapi.json</a> (AsyncAPI, the stream).</li>
<li>Health: <a href="healthz">healthz</a>, <a href="readyz">readyz</a>.</li>
</ul>
<table>
<thead><tr><th>command</th><th>parameters, [optional]</th><th>what it does</th><th>scope</th></tr></thead>
<tbody>
{_rows(COMMANDS.values())}
</tbody>
</table>
</html>
"""


def _rows(commands: Iterable[Command]) -> str:
    return "\n".join(
        f"<tr><td><code>{escape(command.name)}</code></td><td>{_parameters(command.parameters)}</td>"
        f"<td>{escape(command.summary)}</td><td>{command.scope}</td></tr>"
        for command in commands
    )


def _parameters(parameters: Iterable[Parameter]) -> str:
    return " ".join(
        f'<code title="{escape(f"{parameter.summary}; {parameter.takes}")}">'
        f"{escape(parameter.name if parameter.required else f'[{parameter.name}]')}</code>"
        for parameter in parameters
    )
