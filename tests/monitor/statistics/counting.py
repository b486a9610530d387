"""Play a scene to statistics, for tests example by example."""

from __future__ import annotations

from typing import Any

from monitor.shared.changes import Edit
from monitor.statistics.daily_statistics import Statistics
from monitor.statistics.settings import StatisticsSettings
from tests.monitor.statistics.play import restarted, stats_of
from tests.monitor.statistics.scene import NOON, Scene


class Counting:
    """A scene, and statistics that are told of it."""

    def __init__(self, terms: StatisticsSettings | None = None, at: float = NOON) -> None:
        self.scene = Scene(at)
        self.statistics = Statistics(terms or StatisticsSettings())
        self.tell(*self.scene.begin())

    def tell(self, *edits: Edit) -> tuple[Edit, ...]:
        self.statistics.take(edits, self.scene.at)
        return self.statistics.tick(self.scene.at)

    def pass_time(self, seconds: float) -> tuple[Edit, ...]:
        self.scene.at += seconds
        return self.statistics.tick(self.scene.at)

    def restart(self) -> None:
        self.statistics = restarted(self.statistics, self.scene.state, self.scene.at)

    def queue(self, num: str = "800") -> Any:
        return stats_of(self.statistics, "queuestats", num)

    def ext(self, num: str = "101") -> Any:
        return stats_of(self.statistics, "extstats", num)

    @property
    def pbx(self) -> Any:
        return stats_of(self.statistics, "pbxstats", "pbx")

    def wait_and_answer(self, id_: int, wait: float, talk: float) -> None:
        self.tell(*self.scene.arrive(id_))
        self.tell(*self.scene.wait(id_, "800"))
        self.tell(*self.scene.ring(id_, "101"))
        self.pass_time(wait)
        self.tell(*self.scene.answer(id_, "101"))
        self.pass_time(talk)
        self.tell(*self.scene.end(id_))

    def wait_in_vain(self, id_: int, wait: float) -> None:
        self.tell(*self.scene.arrive(id_))
        self.tell(*self.scene.wait(id_, "800"))
        self.pass_time(wait)
        self.tell(*self.scene.end(id_))
