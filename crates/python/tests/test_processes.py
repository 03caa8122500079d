"""Several processes: killed leaders, fork and spawn."""

import gc
import multiprocessing
import os
import subprocess
import sys
import threading

import level_party
import level_party.plyvel
import pytest
import workers

KILLS = int(os.environ.get("LEVEL_PARTY_PYTHON_KILLS", "20"))
WRITERS = 3


class Writer:
    """A process that writes until it is killed, and what it was acknowledged."""

    def __init__(self, path, name):
        self.acknowledged, self.changed = [], threading.Condition()
        command = [sys.executable, workers.__file__, path, name]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.child.stdout:
            with self.changed:
                self.acknowledged.append(line.rstrip())
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for_more(self, more):
        """It goes on, whoever was killed."""
        with self.changed:
            wanted = len(self.acknowledged) + more
            while len(self.acknowledged) < wanted:
                assert self.child.poll() is None, "it has ended"
                assert self.changed.wait(60), "it does not go on"

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.reader.join()
        self.child.stdout.close()


def test_killed_leaders_lose_no_acknowledged_write(path, tell):
    writers = [Writer(path, f"w{n}") for n in range(WRITERS)]
    running = list(writers)
    try:
        # A member that never leads sees it all.
        with level_party.open(path, lead="never", open_timeout=60) as db:
            for n in range(KILLS):
                for writer in running:
                    writer.wait_for_more(50)
                leader = db.status().leader_pid
                (dying,) = [writer for writer in running if writer.child.pid == leader]
                running.remove(dying)
                dying.kill()
                db.put(b"seen/%d" % n, b"", sync=True)
                for writer in running:
                    writer.wait_for_more(5)
                writers.append(Writer(path, f"w{WRITERS + n}"))
                running.append(writers[-1])
                assert db.role != "leader"
            for writer in running:
                writer.wait_for_more(5)
                writer.kill()
            running.clear()
            check(db, writers)
    finally:
        for writer in running:
            writer.kill()
    with level_party.open(path) as db:
        count = check(db, writers)
        assert db.verify().problems == []
        assert len(list(db.keys(prefix=b"seen/"))) == KILLS
    tell(f"{KILLS} killed leaders, {count} acknowledged writes, 0 lost")


def check(db, writers):
    """All that was acknowledged is there, and each batch is there whole; says how many writes that were."""
    acknowledged = [key for writer in writers for key in writer.acknowledged]
    assert len(acknowledged) >= KILLS * WRITERS * 50
    found = dict(db.range(gte=b"w", lt=b"x"))
    assert [key for key in acknowledged if found.get(key) != key] == []
    assert [key for key in found if key.endswith(b"+") and key[:-1] not in found] == []
    return len(acknowledged)


def join(children):
    for child in children:
        child.join(120)
        assert child.exitcode == 0


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_open_the_database_anew(db, path, method):
    context = multiprocessing.get_context(method)
    children = [context.Process(target=workers.opened_anew, args=(path, 50)) for _ in range(3)]
    for child in children:
        child.start()
    workers.count_up(db, 50)
    join(children)
    assert db[b"count"] == b"200"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_have_event_loops(db, path, method):
    context = multiprocessing.get_context(method)
    workers.opened_anew_by_tasks(path, 5)  # so that the parent has its threads
    children = [context.Process(target=workers.opened_anew_by_tasks, args=(path, 5)) for _ in range(2)]
    for child in children:
        child.start()
    join(children)
    assert db[b"count"] == b"30"


def test_forked_children_have_nothing_of_threads_that_waited(db, path):
    """A child's threads take over the stacks of threads that it does not have: nothing may point there any more."""
    context = multiprocessing.get_context("fork")
    workers.opened_anew_by_tasks(path, 1)  # its threads wait from now on
    for _ in range(8):
        children = [context.Process(target=workers.opened_anew_by_threads, args=(path, 24, 2)) for _ in range(3)]
        for child in children:
            child.start()
        join(children)
    assert db[b"count"] == b"26"


def test_handles_are_handed_to_spawned_processes(db):
    context = multiprocessing.get_context("spawn")
    db[b"a"] = b"1"
    part = db.sublevel("part")
    part[b"b"] = b"2"
    with context.Pool(2) as pool:
        assert pool.apply(workers.value_of, (db, b"a")) == b"1"
        assert pool.apply(workers.value_of, (part, b"b")) == b"2"
    child = context.Process(target=workers.count_up, args=(db, 20))
    child.start()
    join([child])
    assert db[b"count"] == b"20"


def uses_what_it_inherited(inherited, path):
    """In a forked child: all that the parent made says what to do, and the directory can be opened."""
    db, snapshot, entries, watch, part, batch, plyvel = inherited
    calls = [
        lambda: db.get(b"a"),
        lambda: db.put(b"a", b"child"),
        lambda: db.delete(b"a"),
        lambda: b"a" in db,
        lambda: list(db.range()),
        lambda: db.snapshot(),
        lambda: db.watch(),
        lambda: db.status(),
        lambda: db.transaction(lambda tx: tx.get(b"a")),
        lambda: db.modify(b"a", lambda held: b"child"),
        lambda: db.compact(),
        lambda: db.checkpoint(path.parent / "copy"),
        lambda: db.yield_leadership(),
        lambda: snapshot.get(b"a"),
        lambda: [key for key in entries],
        lambda: watch.next(timeout=1),
        lambda: part.get(b"a"),
        lambda: batch.write(),
    ]
    for call in calls:
        with pytest.raises(level_party.ForkedError, match="fork"):
            call()
    with pytest.raises(level_party.plyvel.Error, match="fork"):
        plyvel.get(b"a")
    assert db.role == "electing" and db.queued_bytes == 0
    with level_party.open(path) as own:
        assert own[b"a"] == b"parent"
        own[b"child"] = b"%d" % os.getpid()
    db.close()
    snapshot.close()
    watch.close()


def test_what_a_forked_child_inherited_raises_and_harms_nothing(db, path):
    context = multiprocessing.get_context("fork")
    db[b"a"] = b"parent"
    db.update((b"k%05d" % n, b"v" * 100) for n in range(5000))
    entries = db.range()
    part, batch = db.sublevel("part"), db.batch()
    batch.put(b"a", b"child")
    plyvel = level_party.plyvel.DB(os.fspath(path))
    snapshot, watch = db.snapshot(), db.watch()
    next(entries)
    inherited = (db, snapshot, entries, watch, part, batch, plyvel)
    stop = threading.Event()

    def busy():  # locks are held and threads are in the middle of calls when the process forks
        while not stop.is_set():
            db.put(b"busy", b"x")
            db.get(b"busy")
            list(db.range(limit=5))

    threads = [threading.Thread(target=busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            child = context.Process(target=uses_what_it_inherited, args=(inherited, path))
            child.start()
            join([child])
            assert int(db[b"child"]) == child.pid
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert db[b"a"] == b"parent" and snapshot.get(b"a") == b"parent"
    assert db.role == "leader" and len(list(entries)) > 4000
    plyvel.close()


def test_a_forked_child_that_only_ends_harms_nothing(db):
    db[b"a"] = b"1"
    kept = [db.snapshot()]
    for hard in (True, False):
        pid = os.fork()
        if pid == 0:
            if hard:
                os._exit(0)
            kept.clear()
            gc.collect()
            os._exit(7)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == (0 if hard else 7)
    db[b"a"] = b"2"
    assert kept[0][b"a"] == b"1" and db.role == "leader"


def test_the_next_process_leads_when_the_leader_closes(path):
    context = multiprocessing.get_context("spawn")
    first = level_party.open(path)
    first[b"a"] = b"1"
    ready, go = context.Event(), context.Event()
    child = context.Process(target=hold, args=(path, ready, go))
    child.start()
    assert ready.wait(60)
    assert len(first.status().members) == 2
    then = first.yield_leadership()
    assert then.handed_over and then.leader_pid == child.pid, then
    assert first.role == "follower", first.status()
    first[b"b"] = b"2"
    first.close()
    go.set()
    join([child])


def hold(path, ready, go):
    with level_party.open(path) as db:
        ready.set()
        assert go.wait(60)
        assert list(db) == [b"a", b"b"]
