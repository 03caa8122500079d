"""What reports, statuses and watches give."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, NamedTuple, Optional


class Record(SimpleNamespace):
    """A report: its fields are attributes, and those of the crate's report of the same name; spans of time are in
    milliseconds, and their names end in `_ms`."""


class Change(NamedTuple):
    """One committed change: its sequence number, the key, and what it was set to (`None`: it was removed)."""

    sequence: int
    key: bytes
    value: Optional[bytes]


class Gap(NamedTuple):
    """Changes from `missing` on cannot be told: they are not kept any more, or their history was replaced. The watch goes
    on with those from `resume` on. Whoever must know all reads the range anew, after this item."""

    missing: int
    resume: int


class Yielded(NamedTuple):
    """Who leads now, and whether it is another process than before."""

    leader_pid: int
    epoch: int
    handed_over: bool


def _from_json(text: str) -> Any:
    return json.loads(text, object_hook=lambda fields: Record(**fields))
