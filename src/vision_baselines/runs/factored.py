"""Many similar mappings as what they share and what each has of its own, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any


def factored(items: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all of `items` have alike, to any depth of mappings, and the rest of each.

    >>> factored([{"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}}])
    ({'a': 1, 'b': {'d': 3}}, [{'b': {'c': 2}}, {'b': {'c': 4}}])
    """
    if not items:
        return {}, []
    shared: dict[str, Any] = {}
    own: list[dict[str, Any]] = [{} for _ in items]
    for key, values in _columns(items):
        # records of a cache share the sections that are alike
        distinct: dict[int, Any] = dict(zip(map(id, values), values, strict=True))
        if len(distinct) == 1 and values[0] not in (None, {}):
            shared[key] = values[0]
            continue
        if not all(key in item for item in items):
            parts = None
        elif all(isinstance(value, Mapping) and value for value in distinct.values()):
            shared_part, of_distinct = factored(list(distinct.values()))
            by_identity = dict(zip(distinct, of_distinct, strict=True))
            parts = [by_identity[id(value)] for value in values]
            if shared_part:
                shared[key] = shared_part
        elif all(type(value) is type(values[0]) and value == values[0] for value in distinct.values()):
            shared[key] = values[0]
            continue
        else:
            parts = None
        for place, item in enumerate(items):
            if parts is None:
                if key in item:
                    own[place][key] = item[key]
            elif parts[place] or key not in shared:
                own[place][key] = parts[place]
    return shared, own


def _columns(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Each key and its value in each item, None where it has none."""
    keys = list(dict.fromkeys(chain.from_iterable(items)))
    if len(keys) > 1 and all(len(item) == len(keys) for item in items):  # an item after the other: they lie apart
        yield from zip(keys, zip(*map(itemgetter(*keys), items), strict=True), strict=True)
    else:
        yield from ((key, [item.get(key) for item in items]) for key in keys)


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """One of the items again.

    >>> merged({"a": 1, "b": {"d": 3}}, {"b": {"c": 2}})
    {'a': 1, 'b': {'d': 3, 'c': 2}}
    """
    found = dict(shared)
    for key, value in own.items():
        before = found.get(key)
        found[key] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return found
