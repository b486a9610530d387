"""Draw ``callmon top`` on the screen: four tables, a line of state, a filter, details.

It draws at most :data:`DRAWS` times a second, and in the tables only the cells that changed. The
cursor stays on its row while rows come, go and change places.
"""

from __future__ import annotations

import copy
import time
from contextlib import suppress
from typing import ClassVar, Final

from rich.text import Text
from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane
from textual.worker import WorkerError

from gateway.cli.top.agent_status import DOING
from gateway.cli.top.details import Details, details
from gateway.cli.top.follower import Follower
from gateway.cli.top.rows import SHEETS, Sheet
from gateway.cli.top.table_view import SheetView
from gateway.cli.wall_words import WORDS, translated
from gateway.stream_client import Entities, StreamClient, StreamRefused

DRAWS: Final = 4
_STATES: Final = ", ".join(WORDS[name].lower() for name in DOING)
_HELP: Final = (
    ("1 2 3 4", translated("calls, queues, agents, missed calls")),
    (" ".join(glyph for glyph, _ in DOING.values()), _STATES),
    ("↑ ↓", translated("choose a row; Enter shows its details")),
    ("/", translated("filter by what any column shows; Escape shows all again")),
    ("s  S", translated("sort by the next column; the other way round")),
    ("p", translated("pause the display; changes meanwhile are counted and shown afterwards")),
    ("q", translated("quit")),
)


class Top(App[int]):
    """Run the whole application. ``client``: the stream to follow."""

    TITLE = "callmon"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #standing { height: auto; max-height: 4; padding: 0 1; background: $panel; }
    #standing.stale { background: $warning; color: $text; }
    #standing.refused { background: $error; color: $text; }
    #summary { height: auto; max-height: 2; padding: 0 1; }
    #find { height: 1; border: none; padding: 0 1; display: none; }
    #find.open { display: block; }
    .old SheetView { opacity: 60%; }
    TabbedContent { height: 1fr; }
    TabPane { padding: 0; height: 1fr; }
    SheetView { height: 1fr; }
    SheetView.bare { height: 1; }
    .nothing { display: none; padding: 1; color: $text-muted; }
    Over { align: center middle; }
    Over > VerticalScroll { width: 90%; max-width: 120; height: auto; max-height: 90%;
                            border: round $accent; padding: 0 1; background: $surface; }
    Over DataTable { height: auto; max-height: 24; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "sheet('Calls')", WORDS["calls"]),
        Binding("2", "sheet('Queues')", WORDS["queues"]),
        Binding("3", "sheet('Agents')", WORDS["agents"]),
        Binding("4", "sheet('Missed')", WORDS["missed"]),
        Binding("slash", "find", translated("Filter"), key_display="/"),
        Binding("s", "sort", translated("Sort")),
        Binding("S", "reverse", "Reverse", show=False),
        Binding("p,space", "pause", translated("Pause"), key_display="p"),
        Binding("escape", "all", "Show all", show=False),
        Binding("question_mark", "help", translated("Help"), key_display="?"),
        Binding("q", "quit", translated("Quit")),
    ]

    def __init__(self, client: StreamClient) -> None:
        super().__init__()
        self._follower = Follower(client, self._changed)
        self._held: tuple[Entities, float, int] | None = None
        """While paused: the shown state, its time, and the number of updates that had come."""
        self._fresh = True
        self._second = 0

    def compose(self) -> ComposeResult:
        """Yield the widgets of the screen."""
        yield Static(id="standing")
        yield Static(id="summary")
        yield Input(placeholder=translated("filter"), id="find")
        with TabbedContent():
            for sheet in SHEETS:
                with TabPane(sheet.title, id=sheet.name):
                    yield SheetView(sheet)
                    yield Static(classes="nothing")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to follow and to draw."""
        self.run_worker(self._follower.run(), name="stream", exit_on_error=True)
        self.set_interval(1 / DRAWS, self._draw_if_due)
        self._view.focus()
        self._draw()

    async def on_unmount(self) -> None:
        """Stop following, because the caller closes the stream next."""
        self.workers.cancel_all()
        with suppress(WorkerError):  # raised because it was cancelled
            await self.workers.wait_for_complete()

    # what is shown

    @property
    def shown(self) -> tuple[Entities, float]:
        """Return the state that is shown and its time in POSIX seconds."""
        if self._held is not None:
            return self._held[0], self._held[1]
        return self._follower.state, self._follower.now

    @property
    def _sheet(self) -> Sheet:
        active = self.query_one(TabbedContent).active
        return next((sheet for sheet in SHEETS if sheet.name == active), SHEETS[0])

    @property
    def _view(self) -> SheetView:
        return self.query_one(f"#{self._sheet.name}", TabPane).query_one(SheetView)

    @property
    def refused(self) -> StreamRefused | None:
        """Return the refusal if nothing was ever shown and nothing will be, else None."""
        return None if self._follower.begun else self._follower.refused

    def _changed(self) -> None:
        self._fresh = True
        if self.refused is not None:
            self.exit(1)

    def _draw_if_due(self) -> None:
        if not self.query("#standing"):
            return  # at the end the widgets are gone before the timers
        second = int(time.time())
        if self._fresh or second != self._second:
            self._draw()
            self._second = second

    def _draw(self) -> None:
        self._fresh = False
        state, now = self.shown
        if len(self.screen_stack) > 1:
            if isinstance(self.screen, Over):
                self.screen.refresh_from(state, now)
            return
        standing = self._follower.standing()
        words = " · ".join(part for part in (standing.words, *_pbx(state)) if part)
        if self._held is not None:
            count = self._follower.updates - self._held[2]
            words = f"{translated('Paused; {count} updates wait', count=count)} · {words}"
        line = self.query_one("#standing", Static)
        line.update(Text(words, no_wrap=standing.health == "live", overflow="ellipsis"))
        line.set_class(standing.health == "stale" or self._held is not None, "stale")
        line.set_class(standing.health == "refused", "refused")
        self.query_one(TabbedContent).set_class(standing.health != "live", "old")
        self.query_one("#summary", Static).update(Text(_summary(state), overflow="ellipsis"))
        view = self._view
        view.draw(state, now)
        view.set_class(bool(view.nothing), "bare")
        nothing = self.query_one(f"#{self._sheet.name} .nothing", Static)
        nothing.display = bool(view.nothing)
        nothing.update(Text(view.nothing))

    # keys

    def action_sheet(self, name: str) -> None:
        """Show another table."""
        self.query_one(TabbedContent).active = name

    @on(TabbedContent.TabActivated)
    def _show_sheet(self) -> None:
        self._view.find = self.query_one("#find", Input).value
        self._view.focus()
        self._draw()

    def action_find(self) -> None:
        """Open the filter."""
        find = self.query_one("#find", Input)
        find.add_class("open")
        find.focus()

    @on(Input.Changed, "#find")
    def _filter(self, event: Input.Changed) -> None:
        self._view.find = event.value
        self._draw()

    @on(Input.Submitted, "#find")
    def _leave_filter(self, event: Input.Submitted) -> None:
        event.input.set_class(bool(event.value), "open")
        self._view.focus()

    def action_all(self) -> None:
        """Remove the filter."""
        find = self.query_one("#find", Input)
        find.value = ""
        find.remove_class("open")
        self._view.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._view.sort_by_next()
        self._draw()

    def action_reverse(self) -> None:
        """Reverse the sort order."""
        self._view.turn_round()
        self._draw()

    def action_pause(self) -> None:
        """Freeze the picture, or go on."""
        follower = self._follower
        held = (copy.deepcopy(follower.state), follower.now, follower.updates)
        self._held = held if self._held is None else None
        self._draw()

    async def action_help(self) -> None:
        """Show what the keys do."""
        await self.push_screen(Over(None, ""))

    @on(DataTable.RowSelected)
    async def _open(self, event: DataTable.RowSelected) -> None:
        if isinstance(event.data_table, SheetView) and event.data_table.entity is not None:
            over = Over(self._sheet.name, event.data_table.entity)
            await self.push_screen(over)
            over.refresh_from(*self.shown)


class Over(ModalScreen[None]):
    """Show details of a row, updated while they are open; without a sheet, show the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", translated("Close"))
    ]

    def __init__(self, sheet: str | None, id_: str) -> None:
        super().__init__()
        self._of, self._entity = sheet, id_

    def compose(self) -> ComposeResult:
        """Yield a title with sentences, and a table that may stay hidden."""
        with VerticalScroll():
            yield Static(id="text")
            yield DataTable[Text](cursor_type="none", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Show the keys at once; details come with the next drawing."""
        self.query_one(DataTable).display = False
        if self._of is None:
            lines = [Text.assemble((f"{key:<11}", "bold"), what) for key, what in _HELP]
            self.query_one("#text", Static).update(
                Text("\n").join([Text(translated("Keys"), "bold"), *lines])
            )

    def refresh_from(self, state: Entities, now: float) -> None:
        """Show the details as they are in this state."""
        sheet = self._of
        if sheet is not None and self.is_mounted:
            self._show(details(sheet, self._entity, state, now))

    def _show(self, found: Details) -> None:
        lines = [Text(found.title, "bold"), *(Text(line) for line in found.lines)]
        self.query_one("#text", Static).update(Text("\n").join(lines))
        table = self.query_one(DataTable)
        table.display = len(found.table) > 1
        table.clear(columns=True)
        if table.display:
            head, *rows = found.table
            table.add_columns(*(Text(name, "bold") for name in head))
            table.add_rows([Text(text) for text in row] for row in rows)


def _summary(state: Entities) -> str:
    """Return a line that says how busy the PBX is."""
    system = state.get("system", {}).get("pbx")
    most = system["licenceLimit"] if system else 0
    limit = translated(" of {limit}", limit=most) if most else ""
    day = state.get("pbxstats", {}).get("pbx")
    calls = (
        len(state.get("calls", {})) if day is None else day["active"]
    )  # of the whole PBX, like the licence's limit
    waiting = sum(len(queue["waiting"]) for queue in state.get("queues", {}).values())
    parts = [f"{WORDS['callsNow']} {calls}{limit}", f"{WORDS['waiting']} {waiting}"]
    if day is not None:
        for word, name in (
            ("callsToday", "calls"),
            ("answeredToday", "answered"),
            ("peak", "peak"),
        ):
            parts.append(f"{WORDS[word]} {day[name]}")
    return " · ".join(parts)


def _pbx(state: Entities) -> tuple[str, ...]:
    """Return the PBX's name with its version, and the source of its calls."""
    system = state.get("system", {}).get("pbx")
    return (
        ()
        if system is None
        else (f"{system['fqdn']} {system['version']}".strip(), system["source"])
    )
