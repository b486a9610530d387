"""Show entities to a request: filter them and present the stored entities as answers.

``$select`` and ``$expand`` are compiled once a request into a function that turns a stored entity
into the answered one. Without both, entities without navigation, computed properties and concealed
secrets are answered as they are stored, without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from monitor.simulator.pbx_data.directory import Directory
from monitor.simulator.pbx_data.templates import Entity
from monitor.simulator.xapi.entity_types import SHAPES, Shape
from monitor.simulator.xapi.odata.filter import ODataError, Row
from monitor.simulator.xapi.odata.query_options import Expand, Matcher, Options, paged

Presenter: TypeAlias = Callable[[Entity], Entity]


class XapiView:
    """Show the directory to one request. ``concealed``: True hides secrets."""

    def __init__(self, directory: Directory, *, concealed: bool) -> None:
        self.directory = directory
        self.concealed = concealed

    def matcher(self, shape: Shape, options: Options) -> Matcher:
        """Return a matcher for filter, search and order over entities of the shape.

        Raises ODataError if they are wrong.
        """

        def get(row: Row, name: str) -> Any:
            navigation = shape.navigation.get(name)
            if navigation and row.keys() >= _marks(shape):
                return navigation.related(self.directory, dict(row))
            computed = shape.computed.get(name)
            return (
                computed(self.directory, dict(row))
                if computed and name not in row
                else row.get(name)
            )

        if shape.navigation or shape.computed:
            return Matcher(options, shape.known, shape.searched, get)
        return Matcher(options, shape.known, shape.searched)

    def presenter(self, shape: Shape, options: Options) -> Presenter:
        """Return a function that turns a stored entity into the answered one.

        Raises ODataError for unknown properties.
        """
        names = _selected(shape, options.select)
        expansions = [self._expansion(shape, item) for item in _expanded(shape, options.expand)]
        if names is None and not (
            shape.navigation or shape.computed or (shape.secrets and self.concealed)
        ):
            return lambda entity: entity
        stored = tuple(name for name in names or shape.fields if name not in shape.computed)
        computed = {
            name: made for name, made in shape.computed.items() if names is None or name in names
        }
        secrets = tuple(name for name in shape.secrets if name in stored) if self.concealed else ()

        def present(entity: Entity) -> Entity:
            out = {name: entity[name] for name in stored}
            for name, made in computed.items():
                out[name] = made(self.directory, entity)
            for name in secrets:
                out[name] = _concealed(out[name])
            for expand in expansions:
                expand(entity, out)
            return out

        return present

    def _expansion(self, shape: Shape, item: Expand) -> Callable[[Entity, Entity], None]:
        navigation = shape.navigation[item.name]
        target = SHAPES[navigation.shape]
        present = self.presenter(target, item.options)
        matcher = self.matcher(target, item.options)

        def one(entity: Entity, out: Entity) -> None:
            related = navigation.related(self.directory, entity)
            out[item.name] = None if related is None else present(related)

        def many(entity: Entity, out: Entity) -> None:
            page = paged(matcher.matching(navigation.related(self.directory, entity)), item.options)
            if item.options.count:
                out[f"{item.name}@odata.count"] = page.total
            out[item.name] = [present(row) for row in page.rows]

        return many if navigation.many else one


def _marks(shape: Shape) -> frozenset[str]:
    return frozenset(name for name in shape.fields if name not in shape.computed)


def _concealed(value: Any) -> Any:
    return {"Concealed": True, "Value": None} if isinstance(value, dict) else None


def _selected(shape: Shape, select: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if select is None or "*" in select:
        return None
    for name in select:
        if name.partition("/")[0] not in shape.known:
            raise ODataError(
                f"Could not find a property named '{name}' on type 'Pbx.{shape.name}'."
            )
    chosen = {name.partition("/")[0] for name in select}
    return tuple(name for name in shape.fields if name in chosen)


def _expanded(shape: Shape, expand: tuple[Expand, ...]) -> tuple[Expand, ...]:
    if any(item.name == "*" for item in expand):
        return tuple(Expand(name, Options()) for name in shape.navigation)
    for item in expand:
        if item.name not in shape.navigation:
            raise ODataError(
                f"Could not find a navigation property named '{item.name}' on type "
                f"'Pbx.{shape.name}'."
            )
    return expand
