"""Threads of one process, and Ctrl-C."""

import os
import signal
import threading
import time

import level_party
import pytest


def together(*bodies):
    failures = []

    def caught(body):
        try:
            body()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=caught, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writers_readers_and_iterators_at_once(db):
    def write(name):
        for n in range(1000):
            db.put(b"%d/%d" % (name, n), b"%d" % n)
            assert db.get(b"%d/%d" % (name, n)) == b"%d" % n

    def walk():
        before = 0
        for _ in range(20):
            count = len(list(db.range()))
            assert count >= before
            before = count

    def snapshot():
        for _ in range(50):
            with db.snapshot() as moment:
                assert len(list(moment)) == len(list(moment))

    together(*[lambda name=name: write(name) for name in range(4)], walk, walk, snapshot)
    assert len(list(db)) == 4000


def test_an_iterator_of_two_threads_gives_each_entry_once(db):
    db.update((b"%05d" % n, b"v" * 50) for n in range(5000))
    entries, taken, lock = db.keys(), [], threading.Lock()

    def take():
        while True:
            with lock:
                key = next(entries, None)
            if key is None:
                return
            taken.append(key)

    together(take, take, take)
    assert sorted(taken) == [b"%05d" % n for n in range(5000)]


def test_closing_while_others_call(path):
    db = level_party.open(path)
    began = threading.Barrier(4)

    def call():
        began.wait()
        try:
            while True:
                db.put(b"a", b"1")
                db.get(b"a")
                list(db.range(limit=10))
        except level_party.ClosedError:
            pass

    def close():
        began.wait()
        db.close()

    together(call, call, call, close)


@pytest.mark.parametrize("wait", ["watch", "events"])
def test_ctrl_c_ends_a_wait_for_ever(db, wait):
    waiting = db.watch() if wait == "watch" else db.events()
    main = threading.main_thread().ident
    threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        for _ in waiting:  # an event may still come
            pass
    if wait == "watch":
        db[b"a"] = b"1"
        assert next(waiting).key == b"a", "it goes on"


def test_other_threads_run_while_one_waits(path):
    with level_party.open(path) as db:
        watch, ticks = db.watch(), 0
        stop = threading.Event()

        def tick():
            nonlocal ticks
            while not stop.is_set():
                ticks += 1
                time.sleep(0)

        def follow():
            assert watch.next(timeout=0.2) is None
            stop.set()

        together(tick, follow)
        assert ticks > 0


def test_handles_left_to_the_interpreter_do_no_harm(path):
    """At the end of the process whatever is left is open: it ends nevertheless, and what was written is there."""
    import subprocess
    import sys

    script = """
import asyncio, sys, threading, level_party
db = level_party.open(sys.argv[1])
db[b"a"] = b"1"
kept = [db.range(), db.snapshot(), db.watch(), db.sublevel("s"), db.batch(), db.transaction()]
threading.Thread(target=lambda: kept[2].next(timeout=60), daemon=True).start()
async def main():
    other = await level_party.open_async(sys.argv[1])
    await other.put(b"b", b"2", sync=True)
    kept.append(other)
    kept.append(await other.watch())
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, os.fspath(path)], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    with level_party.open(path) as db:
        assert list(db) == [b"a", b"b"]
