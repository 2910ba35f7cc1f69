"""Checks large documents against a JSON Schema fast: what looks alike is checked once.

A result has thousands of trials of a few shapes, and jsonschema takes tens of milliseconds for each. The
shape of a value is all that the schema can tell of it: of a number on which side of each bound of the
schema it lies and whether it is whole, of a string which of the schema's patterns and values it matches
and whether it is as long as asked, of an object its keys with their values' shapes, of a list its items'
shapes. Two values of one shape are both valid or both not, so jsonschema judges one of them."""
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from spawnpool.documents import Json
from spawnpool.schema import Schema

# Beyond these no number was measured, and a ratio of two could not be told.
GREATEST, LEAST = 1e100, 1e-100
BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
LENGTHS = {"minLength", "maxLength", "minItems", "maxItems"}
# What a shape does not tell.
UNTOLD = {"multipleOf", "uniqueItems", "format"}
NUMBERS = {int, float}
Rule = Callable[[Json], str | None]
BEYOND, BEYOND_BROKEN = 0, 1  # shapes of numbers above all bounds


class Shapes:
    """A checker of documents by one schema of draft 7 that keeps to what a shape tells: without `UNTOLD`
    keywords, `items` in the form of a list, and listed numbers within lists. References are those to its
    own definitions. A rule tells, of an object that is valid by the definition of this name, what is wrong
    all the same and where in it, or None, and depends on nothing but the shape.

    It remembers shapes: not for use by several threads. ValueError for `UNTOLD`."""

    def __init__(self, schema: Json, rules: Mapping[str, Rule] = MappingProxyType({})) -> None:
        self._schema, self._definitions = schema, schema.get("definitions", {})
        self._rules = {id(self._definitions[name]): rule for name, rule in rules.items()}
        parts = list(_subschemas(schema))
        for part in parts:
            if UNTOLD & part.keys():
                raise ValueError(f"a shape does not tell {', '.join(UNTOLD & part.keys())}")
        self._bounds = sorted({part[key] for part in parts for key in BOUNDS & part.keys()})
        self._lengths = sorted({part[key] for part in parts for key in LENGTHS & part.keys()})
        self._patterns = [re.compile(part["pattern"]) for part in parts if "pattern" in part]
        self._values = {
            value
            for part in parts
            for value in [*part.get("enum", []), part.get("const")]
            if isinstance(value, (str, int, float))
        }
        self._top = max([1, *self._bounds, *(v for v in self._values if not isinstance(v, str))])
        self._nodes: dict[int, _Node] = {}
        self._ids: dict[Hashable, int] = {"beyond": BEYOND, "beyond, broken": BEYOND_BROKEN}
        self._strings: dict[str, int] = {}

    def complaint(self, document: Any) -> str | None:
        """What is wrong with a document and where, or None. Numbers that nothing could have measured
        are wrong, whatever the schema says."""
        return self._check(self._schema, document, "")

    def _check(self, schema: Any, value: Any, place: str) -> str | None:
        node = self._node(schema)
        # Neither the document nor a list comes a second time.
        shape = self._shape(value) if place and not isinstance(value, list) else None
        if shape in node.valid:
            return None
        wrong = node.itself.complaint(value, place)
        if wrong is None and type(value) in NUMBERS and not _measurable(value):
            wrong = f"{place}: {repr(value)[:30]} is no number that could have been measured"
        if wrong is None and isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            found = (self._check(node.below(key), item, _join(place, key)) for key, item in items)
            wrong = next((fault for fault in found if fault is not None), None)
        if wrong is None and node.rule is not None:
            fault = node.rule(value)
            wrong = None if fault is None else f"{place}.{fault}"
        if shape is not None and wrong is None:
            node.valid.add(shape)
        elif shape is not None:  # of all that is wrong with it, tell what says most
            wrong = node.whole.complaint(value, place) or wrong
        return wrong

    def _node(self, schema: Any) -> "_Node":
        if isinstance(schema, dict) and "$ref" in schema:
            return self._node(self._definitions[schema["$ref"].rpartition("/")[2]])
        if id(schema) not in self._nodes:
            rule = self._rules.get(id(schema))
            self._nodes[id(schema)] = _Node(schema, self._definitions, rule)
        return self._nodes[id(schema)]

    def _shape(self, value: Any) -> int:
        kind = type(value)
        told: Hashable
        if kind is float or kind is int:
            # Most numbers lie beyond all bounds.
            if self._top < value <= GREATEST:
                return BEYOND if kind is int or value.is_integer() else BEYOND_BROKEN
            told = self._number(value)
        elif kind is str:
            known = self._strings.get(value)
            if known is None:
                known = self._id(self._string(value))
                if len(value) < 100:  # others hardly come again
                    self._strings[value] = known
            return known
        elif kind is dict:
            told = (tuple(value), *map(self._shape, value.values()))
        elif kind is list:
            told = ("list", bisect_right(self._lengths, len(value)), self._items(value))
        else:
            told = (kind, value)  # None, True, False
        return self._id(told)

    def _id(self, told: Hashable) -> int:
        return self._ids.setdefault(told, len(self._ids))

    def _number(self, value: float) -> Hashable:
        whole = _whole(value)
        listed = value if value in self._values else None
        sides = bisect_left(self._bounds, value), bisect_right(self._bounds, value)
        return whole, sides, listed, _measurable(value)

    def _items(self, items: list[Any]) -> Hashable:
        kinds = set(map(type, items))
        if not kinds or not kinds <= NUMBERS:
            return frozenset(map(self._shape, items))
        # What the least and the greatest keep of the bounds, all between them keep.
        whole = float not in kinds or all(map(_whole, items))
        return self._shape(min(items)), self._shape(max(items)), whole

    def _string(self, value: str) -> Hashable:
        matched = tuple(pattern.search(value) is not None for pattern in self._patterns)
        listed = value if value in self._values else None
        return matched, bisect_right(self._lengths, len(value)), listed


class _Node:
    """A schema within the schema: what it says of a value itself, and the schemas of what is in it."""

    def __init__(self, schema: Any, definitions: Json, rule: Rule | None) -> None:
        self._schema: Json = schema if isinstance(schema, dict) else {}
        whole = shallow = schema
        if isinstance(schema, dict):
            whole = {**schema, "definitions": definitions}
            shallow = dict(whole)
            if "properties" in schema:
                shallow["properties"] = {key: True for key in schema["properties"]}
            for key in ("items", "additionalProperties"):
                if isinstance(schema.get(key), dict):
                    shallow[key] = True
        self.itself, self.whole = Schema(shallow), Schema(whole)
        self.rule = rule
        self.valid: set[int] = set()  # shapes

    def below(self, key: str | int) -> Any:
        """The schema of an object's value or a list's item."""
        if isinstance(key, int):
            return self._schema.get("items", True)
        own = self._schema.get("properties", {})
        return own[key] if key in own else self._schema.get("additionalProperties", True)


def _subschemas(schema: Any) -> Iterator[Json]:
    """All objects in a schema: more than its subschemas, which does no harm."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from _subschemas(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _subschemas(part)


def _join(place: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


def _whole(value: float) -> bool:
    return type(value) is int or value.is_integer()


def _measurable(value: float) -> bool:
    return value == 0 or LEAST <= abs(value) <= GREATEST
