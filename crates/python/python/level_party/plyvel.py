"""plyvel's API over level-party: `import level_party.plyvel as plyvel`.

Programs written for plyvel 1.5 run unchanged, and any number of processes can have one database open. What differs:

- A directory may be open several times, in one process and in several. plyvel's `IOError` of a lock that is held comes only
  where another program holds the directory.
- Keys are ordered bytewise: with `comparator` `DB()` raises `Error`.
- Checksums are always verified, what is read once does not displace what is read again, and any number of tables can be read:
  so `verify_checksums`, `fill_cache`, `paranoid_checks`, `max_open_files` and `block_restart_interval` are taken and change
  nothing.
- A batch has up to 64 MiB and 4,194,304 operations. `repair_db` takes the options, and needs none of them.
- After a `fork` the child opens the database again: what it has of its parent raises `Error`.
"""

from __future__ import annotations

import builtins
import os

from ._native import _plyvel

DB = _plyvel.DB
repair_db = _plyvel.repair_db
destroy_db = _plyvel.destroy_db

__leveldb_version__ = "1.23"
__version__ = "1.5.1"

__all__ = [
    "DB",
    "CorruptionError",
    "Error",
    "IOError",
    "IteratorInvalidError",
    "__leveldb_version__",
    "__version__",
    "destroy_db",
    "repair_db",
]


class Error(Exception):
    pass


class IOError(Error, builtins.IOError):
    pass


class CorruptionError(Error):
    pass


class IteratorInvalidError(Error):
    pass


_OF_KIND: dict[str, type[Error]] = {
    "Corruption": CorruptionError,
    "Io": IOError,
    "Locked": IOError,
    "NotADirectory": IOError,
    "OutOfSpace": IOError,
    "PermissionDenied": IOError,
    "UnsupportedFilesystem": IOError,
}


def _make(kind: str, message: str) -> Error:
    """plyvel's exception for an error of the crate."""
    return _OF_KIND.get(kind, Error)(message)


def _missing(message: str, path: os.PathLike[str]) -> Error:
    """plyvel's exception for a database that is not there. LevelDB makes its lock before it looks: an `IOError` where it can't."""
    directory = os.fspath(path)
    if not os.path.isdir(directory):
        directory = os.path.dirname(directory) or os.curdir
    return (Error if os.access(directory, os.W_OK) else IOError)(message)
