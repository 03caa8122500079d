"""Opens again, in another process, what was pickled."""

from __future__ import annotations

from typing import Any

from . import _native


def database(path: str, options: dict[str, Any]) -> _native.Database:
    return _native.open(path, **options)


def sublevel(parent: _native.Store, name: str, separator: str) -> _native.Sublevel:
    return parent.sublevel(name, separator=separator)
