"""Figures of the Python package beside its peers, each in the same run.

    pip install level-party plyvel lmdb
    python bench.py                          # all tables, about two minutes
    python bench.py --quick                  # to see that it works
    python bench.py --entries 500000 --rounds 9

*One process* is beside plyvel, in one process: the same keys and values, LevelDB's default options on both sides, no `sync`.
*Two processes* is beside `lmdb` and `sqlite3`: two processes have a database open and both call, for some seconds.

Rows of one process take turns, round by round, so that what disturbs the machine meets both; a round's figure is the mean of
its calls, the table has the median of the rounds and the smallest. Times are of the thread that calls (its CPU time, with what
the system does for it), for the wall's depends on whoever else uses the machine: `--wall` takes the wall's. Nothing asserts a
time. Ratios are to plyvel, or to level-party in two processes; below 1 is faster.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import platform
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import level_party
import level_party.plyvel as dropin

try:
    import plyvel
except ImportError:
    plyvel = None
try:
    import lmdb
except ImportError:
    lmdb = None

VALUE_BYTES = 100


def key(n: int) -> bytes:
    return b"%016d" % n


def value(n: int) -> bytes:
    """One of which snappy saves half."""
    return random.Random(n).randbytes(VALUE_BYTES // 2) + b"x" * (VALUE_BYTES // 2)


class Work:
    """The keys in a fixed random order, and a value for each."""

    def __init__(self, entries: int, calls: int) -> None:
        numbers = list(range(entries))
        random.Random(1).shuffle(numbers)
        values = [value(n) for n in range(256)]
        self.pairs = [(key(n), values[n % 256]) for n in numbers]
        self.some = [k for k, _ in self.pairs[:calls]]


class Ours:
    name = "level-party"

    def __init__(self, path: str) -> None:
        self.db = level_party.open(path)
        self.close, self.compact = self.db.close, self.db.compact

    def put(self, pairs: list[tuple[bytes, bytes]]) -> int:
        put = self.db.put
        for k, v in pairs:
            put(k, v)
        return len(pairs)

    def batches(self, pairs: list[tuple[bytes, bytes]]) -> int:
        for at in range(0, len(pairs), 100):
            with self.db.batch() as batch:
                put = batch.put
                for k, v in pairs[at : at + 100]:
                    put(k, v)
        return len(pairs)

    def get(self, keys: list[bytes]) -> int:
        return each(self.db.get, keys)

    def snapshot_get(self, keys: list[bytes]) -> int:
        with self.db.snapshot() as snapshot:
            return each(snapshot.get, keys)

    def iterate(self) -> int:
        return walk(self.db.range())

    def iterate_keys(self) -> int:
        return walk(self.db.keys())

    def iterate_reverse(self) -> int:
        return walk(self.db.range(reverse=True))

    def short(self, keys: list[bytes]) -> int:
        for k in keys:
            entries = self.db.range(gte=k)
            for _, _ in zip(range(10), entries):
                pass
        return len(keys)


class Plyvel:
    name = "plyvel"
    module = plyvel

    def __init__(self, path: str) -> None:
        self.db = self.module.DB(path, create_if_missing=True)
        self.close, self.compact = self.db.close, self.db.compact_range

    put, get, snapshot_get = Ours.put, Ours.get, Ours.snapshot_get

    def batches(self, pairs: list[tuple[bytes, bytes]]) -> int:
        for at in range(0, len(pairs), 100):
            with self.db.write_batch() as batch:
                put = batch.put
                for k, v in pairs[at : at + 100]:
                    put(k, v)
        return len(pairs)

    def iterate(self) -> int:
        return walk(self.db.iterator())

    def iterate_keys(self) -> int:
        return walk(self.db.iterator(include_value=False))

    def iterate_reverse(self) -> int:
        return walk(self.db.iterator(reverse=True))

    def short(self, keys: list[bytes]) -> int:
        for k in keys:
            entries = self.db.iterator(start=k)
            for _, _ in zip(range(10), entries):
                pass
        return len(keys)


class Dropin(Plyvel):
    name = "level_party.plyvel"
    module = dropin


def each(call: Callable[[bytes], Any], keys: list[bytes]) -> int:
    for k in keys:
        call(k)
    return len(keys)


def walk(entries: Iterator[Any]) -> int:
    count = 0
    for _ in entries:
        count += 1
    return count


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    print(f"\n### {title}\n")
    for row in [head, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))) + " |")
    sys.stdout.flush()


class Rounds:
    """Rows that take turns."""

    def __init__(self, rounds: int, clock: Callable[[], float]) -> None:
        self.rounds, self.clock, self.rows = rounds, clock, []

    def row(self, name: str, peers: list[Any], call: Callable[[Any], int], fresh: Callable[[Any], Any] | None = None) -> None:
        times: dict[str, list[float]] = {peer.name: [] for peer in peers}
        if fresh is None:
            for peer in peers:
                call(peer)  # so that the caches are warm
        for n in range(self.rounds):
            for peer in peers if n % 2 else peers[::-1]:
                place = fresh(peer) if fresh else peer
                gc.collect()
                gc.disable()
                begun = self.clock()
                calls = call(place)
                times[peer.name].append((self.clock() - begun) / calls * 1e6)
                gc.enable()
                if fresh:
                    place.close()
        floor = times[peers[0].name]
        for peer in peers:
            mine = times[peer.name]
            ratio = statistics.median(a / b for a, b in zip(mine, floor))
            self.rows.append([
                name, peer.name, f"{statistics.median(mine):.3f}", f"{min(mine):.3f}",
                *(["", ""] if peer is peers[0] else [f"{ratio:.2f}", f"{min(mine) / min(floor):.2f}"]),
            ])  # fmt: skip
            name = ""


def one_process(args: argparse.Namespace, where: str) -> None:
    if plyvel is None:
        print("\nSKIPPED: one process: plyvel can't be imported")
        return
    work, classes = Work(args.entries, args.calls), [Plyvel, Ours, Dropin]
    rounds = Rounds(args.rounds, time.perf_counter if args.wall else time.thread_time)

    class Place:
        """An empty database for each round."""

        def __init__(self, peer: Any) -> None:
            self.path = tempfile.mkdtemp(dir=where)
            self.inside = peer(os.path.join(self.path, "db"))

        def close(self) -> None:
            self.inside.close()
            shutil.rmtree(self.path)

    rounds.row("put", classes, lambda place: place.inside.put(work.pairs), Place)
    ascending = sorted(work.pairs)
    rounds.row("put in order", classes, lambda place: place.inside.put(ascending), Place)
    rounds.row("batch of 100 puts, a put", classes, lambda place: place.inside.batches(work.pairs), Place)
    for state, pairs in (("in memory", work.pairs[:10_000]), ("compacted", work.pairs)):
        peers = [peer(os.path.join(where, f"{peer.name} {state}")) for peer in classes]
        for peer in peers:
            peer.put(pairs)
            if state == "compacted":
                peer.compact()
        some = [k for k, _ in pairs[: args.calls]]
        rounds.row(f"get, {state}", peers, lambda peer: peer.get(some))
        rounds.row(f"snapshot get, {state}", peers, lambda peer: peer.snapshot_get(some))
        rounds.row(f"iterate, {state}, an entry", peers, lambda peer: peer.iterate())
        rounds.row(f"iterate keys, {state}, a key", peers, lambda peer: peer.iterate_keys())
        rounds.row(f"iterate reverse, {state}, an entry", peers, lambda peer: peer.iterate_reverse())
        rounds.row(f"seek and 10 entries, {state}", peers, lambda peer: peer.short(some[:1000]))
        for peer in peers:
            peer.close()
    table("One process, beside plyvel (us)", ["", "", "median", "least", "ratio", "ratio of least"], rounds.rows)


class SharedOurs:
    name = "level-party"

    def __init__(self, path: str) -> None:
        self.db = level_party.open(path)
        self.get, self.put, self.close = self.db.get, self.db.put, self.db.close

    def fill(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.db.update(pairs)
        self.db.compact()

    def scan(self) -> int:
        return walk(self.db.range())


class SharedLmdb:
    name = "lmdb"

    def __init__(self, path: str) -> None:
        # Commits sync nothing and write into the map: a killed process loses nothing.
        self.env = lmdb.open(path, map_size=4 << 30, writemap=True, map_async=True)
        self.close = self.env.close

    def fill(self, pairs: list[tuple[bytes, bytes]]) -> None:
        with self.env.begin(write=True) as tx:
            for k, v in pairs:
                tx.put(k, v)

    def get(self, k: bytes) -> Any:
        with self.env.begin() as tx:
            return tx.get(k)

    def put(self, k: bytes, v: bytes) -> None:
        with self.env.begin(write=True) as tx:
            tx.put(k, v)

    def scan(self) -> int:
        with self.env.begin() as tx:
            return walk(tx.cursor().iternext())


class SharedSqlite:
    name = "sqlite3"

    def __init__(self, path: str) -> None:
        self.connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "mmap_size=2147418112"):
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        self.connection.execute("CREATE TABLE IF NOT EXISTS t (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID")
        self.execute, self.close = self.connection.execute, self.connection.close

    def fill(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self.execute("BEGIN")
        self.connection.executemany("INSERT OR REPLACE INTO t VALUES (?, ?)", pairs)
        self.execute("COMMIT")

    def get(self, k: bytes) -> Any:
        row = self.execute("SELECT v FROM t WHERE k = ?", (k,)).fetchone()
        return row and row[0]

    def put(self, k: bytes, v: bytes) -> None:
        self.execute("INSERT OR REPLACE INTO t VALUES (?, ?)", (k, v))

    def scan(self) -> int:
        return walk(self.execute("SELECT k, v FROM t ORDER BY k"))


SHARED = {peer.name: peer for peer in (SharedOurs, SharedLmdb, SharedSqlite)}


def call_for(name: str, path: str, kind: str, entries: int, calls: int, seconds: float, seed: int, start: Any, results: Any) -> None:
    """In a child: calls for some seconds, beside another one."""
    peer, work, rnd = SHARED[name](path), Work(entries, calls), random.Random(seed)
    some = rnd.sample(work.pairs, min(calls, entries))
    for k, _ in some[:1000]:
        assert peer.get(k) is not None
    start.wait()
    begun = time.perf_counter()
    count = 0
    while time.perf_counter() - begun < seconds:
        if kind == "scan":
            count += peer.scan()
        else:
            for n, (k, v) in enumerate(some[count % len(some) :][:500]):
                if kind == "put" or (kind == "mix" and n % 20 == 0):
                    peer.put(k, v)
                else:
                    peer.get(k)
                count += 1
    results.put((time.perf_counter() - begun) / count * 1e6)
    start.wait()  # nobody leaves before the other has ended
    peer.close()


def two_processes(args: argparse.Namespace, where: str) -> None:
    context, rows = multiprocessing.get_context("spawn"), []
    names = [name for name in SHARED if name != "lmdb" or lmdb is not None]
    if lmdb is None:
        print("\nSKIPPED: the rows of lmdb, which can't be imported")
    pairs = Work(args.entries, args.calls).pairs
    kinds = {"get": "get", "scan": "scan, an entry", "put": "put", "mix": "19 gets, 1 put"}
    times: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in kinds for name in names}
    for _ in range(args.pairs):
        for name in names:
            path = os.path.join(tempfile.mkdtemp(dir=where), name)
            peer = SHARED[name](path)
            peer.fill(pairs)
            peer.close()
            for kind in kinds:
                start, results = context.Barrier(2), context.Queue()
                common = (name, path, kind, args.entries, args.calls, args.seconds)
                children = [context.Process(target=call_for, args=(*common, seed, start, results)) for seed in (1, 2)]
                for child in children:
                    child.start()
                times[kind, name].append(statistics.mean(results.get(timeout=600) for _ in children))
                for child in children:
                    child.join()
                    assert child.exitcode == 0
    for kind, title in kinds.items():
        ours = statistics.median(times[kind, "level-party"])
        for name in names:
            mine = statistics.median(times[kind, name])
            rows.append([title, name, f"{mine:.2f}", "" if name == "level-party" else f"{mine / ours:.2f}"])
            title = ""
    table("Two processes at it, a call (us)", ["", "", "mean", "x level-party"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=20_000, help="calls of a round that reads")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long two processes call")
    parser.add_argument("--pairs", type=int, default=3, help="how many times two processes call")
    parser.add_argument("--only", choices=["one", "two"])
    parser.add_argument("--wall", action="store_true")
    parser.add_argument("--dir", default=None)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.entries, args.calls, args.rounds, args.seconds, args.pairs = 2000, 500, 2, 0.05, 1
    versions = [f"CPython {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    if plyvel is not None:
        versions.append(f"plyvel {plyvel.__version__} with LevelDB {plyvel.__leveldb_version__}")
    if lmdb is not None:
        versions.append(f"lmdb {lmdb.__version__} with LMDB {'.'.join(map(str, lmdb.version()))}")
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"{', '.join(versions)}; {os.cpu_count()} cores, load {load}; {args.entries} entries of 16 and {VALUE_BYTES} bytes")
    with tempfile.TemporaryDirectory(dir=args.dir) as where:
        if args.only != "two":
            one_process(args, where)
        if args.only != "one":
            two_processes(args, where)


if __name__ == "__main__":
    main()
