"""Open one LevelDB directory from any number of processes at once.

    import level_party

    with level_party.open("data") as db:   # in as many processes as you like, in any order
        db[b"a"] = b"1"
        for key, value in db.range(gte=b"a", lt=b"m"):
            print(key, value)
"""

from ._errors import *  # noqa: F403
from ._errors import Error
from ._native import (
    Batch,
    Database,
    Entries,
    Events,
    Readable,
    Snapshot,
    Store,
    Sublevel,
    Transaction,
    TransactionEntries,
    Watch,
    destroy,
    open,
    repair,
)
from ._reports import Change, Gap, Record, Yielded
