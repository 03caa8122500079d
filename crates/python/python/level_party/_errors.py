"""The exceptions: one class for each kind of error of the crate, all below `Error`.

A kind says what a caller can do about it; what each means is told in the documentation of the crate's `ErrorKind`.
"""

from __future__ import annotations

import builtins


class Error(Exception):
    """What every call of this package raises where the database fails it.

    Attributes:
        kind: the kind's name, as `"Timeout"`.
        is_retryable: the same call may succeed when it is made again, with nothing changed, and does no harm.
        had_no_effect: the call has written nothing, and never will.
    """

    kind: str = "Io"
    is_retryable: bool = False
    had_no_effect: bool = True


class NotFoundError(Error, FileNotFoundError):
    """There is no database at the path."""


class AlreadyExistsError(Error, FileExistsError):
    """There is a database, or a checkpoint's target, already."""


class NotADirectoryError(Error, builtins.NotADirectoryError):
    """The path names a file."""


class PermissionDeniedError(Error, PermissionError):
    """The operating system does not let this user at the directory."""


class LockedError(Error, OSError):
    """The directory is held by a program that is not a party member; the message names it."""


class UnsupportedFilesystemError(Error, OSError):
    """The directory lies on a filesystem whose locks or sockets cannot be trusted."""


class IncompatibleVersionError(Error):
    """The directory or its leader speaks another version."""


class TimeoutError(Error, builtins.TimeoutError):
    """The call was not made within its deadline, and nothing was written."""


class ConnectionLostError(Error, ConnectionError):
    """With `retry=False`: the database had to be opened anew while the call was under way."""


class OutcomeUnknownError(Error):
    """Nobody can tell yet what became of a write: read what is there, then decide."""


class SnapshotLostError(Error):
    """The moment that a snapshot or an iterator shows can no longer be read."""


class CorruptionError(Error):
    """Stored bytes are not what they must be; the message names file and offset."""


class InvalidArgumentError(Error, ValueError):
    """The call's arguments can never work."""


class OutOfSpaceError(Error, OSError):
    """No space is left on the device."""


class ClosedError(Error):
    """The handle, or what was made of it, was closed."""


class ForkedError(Error):
    """The handle was opened before `fork`: open the database again in the child process."""


class ProtocolError(Error):
    """The leader broke the protocol."""


class ConflictError(Error):
    """A transaction conflicted with other writers; nothing was written."""


class BusyError(Error):
    """Writes under way take all of `queue_bytes`, or too many processes have the directory open."""


class ReadOnlyError(Error):
    """The handle was opened with `reject_writes`."""


class EncodingError(Error, ValueError):
    """Stored bytes could not be decoded."""


class NoLeaderError(Error):
    """No process leads, and the handle was to join one that does (`lead="join"`)."""


class MovedError(Error):
    """The database was moved to where the message says (`level-party copy`); nothing was written."""


class UnsupportedError(Error):
    """The directory's files are sound, and another product's."""


class IoError(Error, OSError):
    """Any other failure of the operating system."""


_OF_KIND: dict[str, type[Error]] = {
    name.removesuffix("Error"): found
    for name, found in list(globals().items())
    if isinstance(found, type) and issubclass(found, Error) and found is not Error
}


def _make(kind: str, message: str, is_retryable: bool, had_no_effect: bool) -> Error:
    """The exception of an error of the crate."""
    error = _OF_KIND.get(kind, Error)(message)
    error.kind = kind
    error.is_retryable = is_retryable
    error.had_no_effect = had_no_effect
    return error
