"""The types of the native part, and what each call means."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generator, Generic, Literal, Optional, TypeVar, Union, final, overload

from typing_extensions import Buffer, Self, disjoint_base

from ._aio import Entered
from ._reports import Change, Gap, Record, Yielded

_T = TypeVar("_T")
_D = TypeVar("_D")
_T_co = TypeVar("_T_co", covariant=True)

_Path = Union[str, os.PathLike[str]]
_Pairs = Union[Mapping[bytes, Buffer], Iterable[tuple[Buffer, Buffer]]]

@disjoint_base
class Readable:
    """What can be read: a database, a sublevel or a snapshot.

    Keys and values are bytes-like, and come as `bytes`. Keys are ordered bytewise. Ranges are given by `gt` or `gte`, `lt` or
    `lte`, or by `prefix`; `reverse` gives the last key first, and `limit` that many entries at most. All entries of one
    iteration are of one moment: that of its first step.
    """

    @overload
    def get(self, key: Buffer) -> Optional[bytes]: ...
    @overload
    def get(self, key: Buffer, default: _D) -> Union[bytes, _D]: ...
    def get_many(self, keys: Iterable[Buffer]) -> list[Optional[bytes]]:
        """The values of `keys`, all of one moment, in the order asked for."""
    def __getitem__(self, key: Buffer, /) -> bytes: ...
    def __contains__(self, key: Buffer, /) -> bool: ...
    def __iter__(self) -> Entries[bytes]:
        """The keys."""
    def range(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Entries[tuple[bytes, bytes]]:
        """The entries of a range, in key order."""
    def items(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Entries[tuple[bytes, bytes]]:
        """As `range`."""
    def keys(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Entries[bytes]:
        """The keys alone: values are not read where they can be left out."""
    def values(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Entries[bytes]:
        """The values alone, in the order of their keys."""
    def first(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Optional[tuple[bytes, bytes]]:
        """The first entry of a range."""
    def last(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Optional[tuple[bytes, bytes]]:
        """The last entry of a range."""

@final
class Entries(Generic[_T_co]):
    """An iterator over entries, keys or values of one moment, which later writes do not touch. It reads ahead, and goes on
    whoever leads."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _T_co: ...
    def close(self) -> None:
        """Ends the iteration, and gives the moment back that it shows."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: Any) -> None: ...

@final
class TransactionEntries(Generic[_T_co]):
    """An iterator over entries as a transaction sees them."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> _T_co: ...

@final
class Snapshot(Readable):
    """A database or a sublevel as it was at one moment. While it lives compactions keep what it shows: close it when done."""

    @property
    def sequence(self) -> int:
        """The sequence number of the newest write that it shows."""
    def sublevel(self, name: str) -> Snapshot:
        """A sublevel at this moment."""
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: Any) -> None: ...

class Store(Readable):
    """A database or a sublevel.

    A write that has returned is read by every process, and survives the death of any process. It survives a loss of power once
    a later write with `sync` has returned; `sync=None` means what the handle was opened with.
    """

    def put(self, key: Buffer, value: Buffer, *, sync: Optional[bool] = None) -> None: ...
    def delete(self, key: Buffer, *, sync: Optional[bool] = None) -> None:
        """Removes `key`; it is no error when there is none."""
    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...
    def __delitem__(self, key: Buffer, /) -> None:
        """Removes `key`; `KeyError` where there is none."""
    @overload
    def pop(self, key: Buffer) -> bytes: ...
    @overload
    def pop(self, key: Buffer, default: _D, /) -> Union[bytes, _D]: ...
    def setdefault(self, key: Buffer, default: Buffer) -> bytes:
        """Sets `key` where there is none; gives what it holds then. Both at one moment for every process."""
    def update(self, entries: _Pairs, *, sync: Optional[bool] = None) -> None:
        """Writes the entries of a mapping or of pairs, all together or none."""
    def batch(self, *, sync: Optional[bool] = None) -> Batch:
        """Writes that take effect together: at the end of a `with` block, or with `Batch.write`."""
    def replace(self, key: Buffer, value: Buffer) -> Optional[bytes]:
        """Sets `key`, and gives what it held: both at one moment for every process."""
    def modify(
        self, key: Buffer, change: Callable[[Optional[bytes]], Optional[Buffer]]
    ) -> Optional[bytes]:
        """Changes what `key` holds: `change` is told the value (`None`: there is none) and gives the new one (`None`: the key
        is removed). Gives what it holds then. `change` runs again where another writer was faster."""
    def compare_and_swap(
        self, key: Buffer, expected: Optional[Buffer], new: Optional[Buffer]
    ) -> bool:
        """Sets `key` to `new` (`None`: removes it) if it holds `expected` (`None`: nothing); says whether it did."""
    @overload
    def transaction(self) -> Block: ...
    @overload
    def transaction(self, body: Callable[[Transaction], _T]) -> _T:
        """Runs `body` as a transaction: what it reads is of one moment, and what it writes takes effect at one moment, for
        every process, if nobody changed meanwhile what it read. Else it runs again. Where it raises nothing is written.

        Without a function it is a `with` block, which cannot run again: it ends with `ConflictError` instead.
        """
    def clear(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> int:
        """Removes the entries of a range, and says how many there were."""
    def snapshot(self) -> Snapshot: ...
    def watch(
        self,
        after: Union[str, int, None] = None,
        *,
        beginning: bool = False,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Watch:
        """Follows the committed changes of a range, made by whichever process: after a position (`Watch.position`, or a
        sequence number), from the oldest that is kept on (`beginning`), or from now on."""
    def sublevel(self, name: str, *, separator: str = "!") -> Sublevel:
        """A part with keys of its own, which begin with `!name!` in the database: the layout of Node's `abstract-level`."""
    def sublevels(self) -> list[str]:
        """The names of the sublevels directly inside that have entries."""
    def compact(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> None:
        """Compacts the tables that have keys in a range. It may take long; other calls go on meanwhile."""
    def approximate_size(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> int:
        """About how many bytes the tables hold of a range."""

@final
class Sublevel(Store):
    """A part of a database with keys of its own."""

    @property
    def parent(self) -> Store: ...
    @property
    def prefix(self) -> bytes:
        """What its keys begin with in the database."""
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Database(Store):
    """One LevelDB directory, shared with every other process that opens it; made by `open`.

    All calls may be made from any thread. It is open as long as it or anything made of it lives; `close` closes it for all.
    Pickled, it is opened anew where it is unpickled, so that it can be handed to a process. After a `fork` the child opens
    the database again: the parent's raises `ForkedError` there.
    """

    @property
    def path(self) -> str: ...
    @property
    def role(self) -> Literal["leader", "follower", "electing"]: ...
    @property
    def queued_bytes(self) -> int:
        """The bytes of this process's writes that are not answered yet."""
    def status(self) -> Record:
        """Who leads, who else has the database open, and how it is: the fields are those of the crate's `Status`."""
    def property(self, name: str) -> Optional[str]:
        """A property by LevelDB's name, as `leveldb.stats`."""
    def verify(self) -> Record:
        """Looks at every block of every table: `problems`, `tables`, `blocks`, `entries`, `last_sequence`, `losses`."""
    def checkpoint(self, path: _Path) -> int:
        """Makes a copy of one moment in the directory `path`; gives the sequence number of the last write in it."""
    def losses(self) -> list[str]:
        """What openings of the database lost, until it is acknowledged."""
    def acknowledge_losses(self) -> list[str]: ...
    def yield_leadership(self) -> Yielded:
        """Has the leading process leave leadership to another one."""
    def events(self) -> Events:
        """What happens to this process's part from here on."""
    def close(self) -> None:
        """Leaves the directory, once what is queued is made. A leader hands over."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: Any) -> None: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

@final
class Batch:
    """Writes that take effect together, or not at all: at the end of a `with` block that raises nothing, or with `write`."""

    def put(self, key: Buffer, value: Buffer) -> None: ...
    def delete(self, key: Buffer) -> None: ...
    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...
    def __delitem__(self, key: Buffer, /) -> None: ...
    def put_in(self, store: Store, key: Buffer, value: Buffer) -> None:
        """Sets a key of another sublevel, or of the whole database."""
    def delete_in(self, store: Store, key: Buffer) -> None: ...
    def write(self) -> None:
        """Writes it; then it is empty. Where that fails it is as it was."""
    def clear(self) -> None: ...
    @property
    def byte_size(self) -> int: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: Optional[type[BaseException]] = None,
        _value: Optional[BaseException] = None,
        _traceback: Optional[TracebackType] = None,
    ) -> None: ...

@final
class Block:
    """A transaction of a `with` block."""

    def __enter__(self) -> Transaction: ...
    def __exit__(
        self,
        kind: Optional[type[BaseException]] = None,
        _value: Optional[BaseException] = None,
        _traceback: Optional[TracebackType] = None,
    ) -> None: ...

@final
class Transaction:
    """A transaction under way. What it writes it sees at once, and others once it has committed; after that every call of it
    raises `ClosedError`."""

    @overload
    def get(self, key: Buffer) -> Optional[bytes]: ...
    @overload
    def get(self, key: Buffer, default: _D) -> Union[bytes, _D]: ...
    def get_many(self, keys: Iterable[Buffer]) -> list[Optional[bytes]]: ...
    def __getitem__(self, key: Buffer, /) -> bytes: ...
    def __contains__(self, key: Buffer, /) -> bool: ...
    def put(self, key: Buffer, value: Buffer) -> None: ...
    def delete(self, key: Buffer) -> None: ...
    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...
    def __delitem__(self, key: Buffer, /) -> None: ...
    def update(self, entries: _Pairs) -> None: ...
    def sync(self, yes: bool) -> None:
        """Whether what it writes is on stable storage before it is acknowledged."""
    def of(self, store: Store) -> Transaction:
        """This transaction over the keys of `store`, a database or a sublevel."""
    def __iter__(self) -> TransactionEntries[bytes]: ...
    def range(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> TransactionEntries[tuple[bytes, bytes]]: ...
    def items(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> TransactionEntries[tuple[bytes, bytes]]: ...
    def keys(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> TransactionEntries[bytes]: ...
    def values(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> TransactionEntries[bytes]: ...
    def first(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Optional[tuple[bytes, bytes]]: ...
    def last(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Optional[tuple[bytes, bytes]]: ...

@final
class Watch:
    """The committed changes of a range, in order, each once; what cannot be told is a `Gap`. As an iterator it waits for the
    next item, for ever; Ctrl-C ends the wait."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Union[Change, Gap]: ...
    def next(self, timeout: Optional[float] = None) -> Union[Change, Gap, None]:
        """The next item; `None`: there was none in `timeout` seconds."""
    @property
    def position(self) -> str:
        """Up to where everything was given, as text: a watch after it goes on with the next item."""
    def close(self) -> None:
        """Ends the watch: whoever waits for its next item, in any thread, is told `ClosedError`."""
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: Any) -> None: ...

@final
class Events:
    """What happens to this process's part; ends when the database is closed. Each event has its kind as `event`."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Record: ...
    def next(self, timeout: Optional[float] = None) -> Optional[Record]:
        """The next event; `None`: there was none, or none comes any more."""

def open(
    path: _Path,
    *,
    create_if_missing: bool = True,
    error_if_exists: bool = False,
    reject_writes: bool = False,
    sync: bool = False,
    lead: Literal["auto", "never", "join"] = "auto",
    open_timeout: float = 10.0,
    timeout: float = 30.0,
    retry: bool = True,
    queue_bytes: int = 67108864,
    when_full: Literal["wait", "busy"] = "wait",
    write_buffer_size: int = 4194304,
    block_size: int = 4096,
    max_file_size: int = 2097152,
    compression: Literal["none", "snappy", "zlib-raw"] = "snappy",
    bloom_bits_per_key: Optional[int] = None,
    watch_history_bytes: int = 4194304,
    block_cache_bytes: int = 8388608,
    map_tables: bool = False,
    raise_descriptor_limit: bool = True,
) -> Database:
    """Opens the database in `path`, in as many processes as you like and in any order. Times are in seconds. The options are
    those of the crate's `Options`, where each is told."""

def destroy(path: _Path) -> Record:
    """Removes the database in `path`, which nobody may have open."""

def repair(
    path: _Path, *, dry_run: bool = False, bring_back_aside: bool = True, allow_empty: bool = False
) -> Record:
    """Makes of a damaged database one that opens, with all that can still be read. Nobody may have it open."""

@final
class Operation(Generic[_T_co], Coroutine[Any, Any, _T_co]):
    """What a call for a task gives: a coroutine, awaited once. It is issued by its first step; cancelled before that, or while
    it waits for its turn, it never takes effect."""

    def __await__(self) -> Generator[Any, None, _T_co]: ...
    def __iter__(self) -> Generator[Any, None, _T_co]: ...
    def __next__(self) -> Any: ...
    def send(self, _value: Any) -> Any: ...
    def throw(self, kind: Any, value: Any = None, _traceback: Any = None) -> Any: ...
    def close(self) -> None: ...

@disjoint_base
class AsyncReadable:
    """What can be read by a task. Each call means what that of `Readable` means."""

    @overload
    def get(self, key: Buffer) -> Operation[Optional[bytes]]: ...
    @overload
    def get(self, key: Buffer, default: _D) -> Operation[Union[bytes, _D]]: ...
    def get_many(self, keys: Iterable[Buffer]) -> Operation[list[Optional[bytes]]]: ...
    def contains(self, key: Buffer) -> Operation[bool]: ...
    def __aiter__(self) -> AsyncEntries[bytes]: ...
    def range(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> AsyncEntries[tuple[bytes, bytes]]: ...
    def items(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> AsyncEntries[tuple[bytes, bytes]]: ...
    def keys(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> AsyncEntries[bytes]: ...
    def values(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> AsyncEntries[bytes]: ...
    def first(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Operation[Optional[tuple[bytes, bytes]]]: ...
    def last(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Operation[Optional[tuple[bytes, bytes]]]: ...

@final
class AsyncEntries(AsyncIterator[_T_co]):
    """An asynchronous iterator over entries, keys or values of one moment. A step that is cancelled loses no entry."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Operation[_T_co]: ...
    def close(self) -> None: ...

@final
class AsyncSnapshot(AsyncReadable):
    """A database or a sublevel as it was at one moment, for tasks."""

    @property
    def sequence(self) -> int: ...
    def sublevel(self, name: str) -> AsyncSnapshot: ...
    def close(self) -> Operation[None]: ...

class AsyncStore(AsyncReadable):
    """A database or a sublevel, for tasks. Each call means what that of `Store` means."""

    def put(self, key: Buffer, value: Buffer, *, sync: Optional[bool] = None) -> Operation[None]: ...
    def delete(self, key: Buffer, *, sync: Optional[bool] = None) -> Operation[None]: ...
    @overload
    def pop(self, key: Buffer) -> Operation[bytes]: ...
    @overload
    def pop(self, key: Buffer, default: _D, /) -> Operation[Union[bytes, _D]]: ...
    def setdefault(self, key: Buffer, default: Buffer) -> Operation[bytes]: ...
    def update(self, entries: _Pairs, *, sync: Optional[bool] = None) -> Operation[None]: ...
    def batch(self, *, sync: Optional[bool] = None) -> AsyncBatch: ...
    def replace(self, key: Buffer, value: Buffer) -> Operation[Optional[bytes]]: ...
    def modify(
        self, key: Buffer, change: Callable[[Optional[bytes]], Optional[Buffer]]
    ) -> Operation[Optional[bytes]]: ...
    def compare_and_swap(
        self, key: Buffer, expected: Optional[Buffer], new: Optional[Buffer]
    ) -> Operation[bool]: ...
    @overload
    def transaction(self) -> AsyncBlock: ...
    @overload
    def transaction(
        self, body: Callable[[AsyncTransaction], Awaitable[_T]]
    ) -> Coroutine[Any, Any, _T]: ...
    def clear(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Operation[int]: ...
    def snapshot(self) -> Entered[AsyncSnapshot]: ...
    def watch(
        self,
        after: Union[str, int, None] = None,
        *,
        beginning: bool = False,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Entered[AsyncWatch]: ...
    def sublevel(self, name: str, *, separator: str = "!") -> AsyncSublevel: ...
    def sublevels(self) -> Operation[list[str]]: ...
    def compact(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Operation[None]: ...
    def approximate_size(
        self,
        *,
        gt: Optional[Buffer] = None,
        gte: Optional[Buffer] = None,
        lt: Optional[Buffer] = None,
        lte: Optional[Buffer] = None,
        prefix: Optional[Buffer] = None,
    ) -> Operation[int]: ...

@final
class AsyncSublevel(AsyncStore):
    """A part of a database with keys of its own, for tasks."""

    @property
    def parent(self) -> AsyncStore: ...
    @property
    def prefix(self) -> bytes: ...

@final
class AsyncDatabase(AsyncStore):
    """One LevelDB directory, shared with every other process that opens it, for tasks; made by `open_async`. It belongs to no
    event loop: tasks of several loops may use it."""

    @property
    def path(self) -> str: ...
    @property
    def role(self) -> Literal["leader", "follower", "electing"]: ...
    @property
    def queued_bytes(self) -> int: ...
    def status(self) -> Operation[Record]: ...
    def property(self, name: str) -> Operation[Optional[str]]: ...
    def verify(self) -> Operation[Record]: ...
    def checkpoint(self, path: _Path) -> Operation[int]: ...
    def losses(self) -> Operation[list[str]]: ...
    def acknowledge_losses(self) -> Operation[list[str]]: ...
    def yield_leadership(self) -> Operation[Yielded]: ...
    def events(self) -> AsyncEvents: ...
    def close(self) -> Operation[None]: ...

@final
class AsyncBatch:
    """Writes that take effect together, or not at all: at the end of an `async with` block that raises nothing, or with
    `write`."""

    def put(self, key: Buffer, value: Buffer) -> None: ...
    def delete(self, key: Buffer) -> None: ...
    def __setitem__(self, key: Buffer, value: Buffer, /) -> None: ...
    def __delitem__(self, key: Buffer, /) -> None: ...
    def put_in(self, store: AsyncStore, key: Buffer, value: Buffer) -> None: ...
    def delete_in(self, store: AsyncStore, key: Buffer) -> None: ...
    def write(self) -> Operation[None]:
        """Writes what it holds when this is called; then it is empty."""
    def clear(self) -> None: ...
    @property
    def byte_size(self) -> int: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __aenter__(self) -> Operation[AsyncBatch]: ...
    def __aexit__(
        self,
        kind: Optional[type[BaseException]] = None,
        _value: Optional[BaseException] = None,
        _traceback: Optional[TracebackType] = None,
    ) -> Operation[None]: ...

@final
class AsyncBlock:
    """A transaction of an `async with` block."""

    def _next(self) -> Operation[Optional[AsyncTransaction]]: ...
    def _abandon(self) -> None: ...
    def __aenter__(self) -> Operation[AsyncTransaction]: ...
    def __aexit__(
        self,
        kind: Optional[type[BaseException]] = None,
        _value: Optional[BaseException] = None,
        _traceback: Optional[TracebackType] = None,
    ) -> Operation[None]: ...

@final
class AsyncTransaction(AsyncReadable):
    """A transaction under way, for tasks. Its writes wait for nothing."""

    def put(self, key: Buffer, value: Buffer) -> None: ...
    def delete(self, key: Buffer) -> None: ...
    def update(self, entries: _Pairs) -> None: ...
    def sync(self, yes: bool) -> None: ...
    def of(self, store: AsyncStore) -> AsyncTransaction: ...

@final
class AsyncWatch(AsyncIterator[Union[Change, Gap]]):
    """The committed changes of a range, for tasks. A step that is cancelled loses no item."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Operation[Union[Change, Gap]]: ...
    @property
    def position(self) -> str: ...
    def close(self) -> Operation[None]: ...

@final
class AsyncEvents(AsyncIterator[Record]):
    """What happens to this process's part, for tasks."""

    def __aiter__(self) -> Self: ...
    def __anext__(self) -> Operation[Record]: ...

def open_async(
    path: _Path,
    *,
    create_if_missing: bool = True,
    error_if_exists: bool = False,
    reject_writes: bool = False,
    sync: bool = False,
    lead: Literal["auto", "never", "join"] = "auto",
    open_timeout: float = 10.0,
    timeout: float = 30.0,
    retry: bool = True,
    queue_bytes: int = 67108864,
    when_full: Literal["wait", "busy"] = "wait",
    write_buffer_size: int = 4194304,
    block_size: int = 4096,
    max_file_size: int = 2097152,
    compression: Literal["none", "snappy", "zlib-raw"] = "snappy",
    bloom_bits_per_key: Optional[int] = None,
    watch_history_bytes: int = 4194304,
    block_cache_bytes: int = 8388608,
    map_tables: bool = False,
    raise_descriptor_limit: bool = True,
) -> Entered[AsyncDatabase]:
    """Opens a database for tasks: `await` it, or enter it with `async with`. The options are those of `open`."""

def _at_exit() -> None: ...

class _plyvel:
    """The classes of `level_party.plyvel`."""

    DB: Any
    Iterator: Any
    PrefixedDB: Any
    RawIterator: Any
    Snapshot: Any
    WriteBatch: Any
    destroy_db: Any
    repair_db: Any
