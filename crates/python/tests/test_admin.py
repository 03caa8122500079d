"""Status, checkpoint, verification, repair, leadership, events, watches."""

import os
import pickle
import threading

import level_party
import pytest


def test_status_tells_who_leads(db, path):
    db[b"a"] = b"1"
    status = db.status()
    assert status.role == db.role == "leader"
    assert status.pid == status.leader_pid == os.getpid()
    assert status.last_sequence == 1
    assert [member.pid for member in status.members] == [os.getpid()]
    assert os.fspath(db.path) == str(path)
    assert str(path) in repr(db) and "leader" in repr(db)
    assert db.property("leveldb.num-files-at-level0") == "0"
    assert db.property("no.such") is None
    assert db.queued_bytes == 0


def test_checkpoint_verify_compact(db, tmp_path):
    db.update((b"%04d" % n, b"v" * 100) for n in range(2000))
    db.compact()
    assert db.approximate_size(gte=b"0000") > 0
    report = db.verify()
    assert report.problems == [] and report.entries == 2000 and report.tables > 0
    assert db.checkpoint(tmp_path / "copy") == 2000
    db.clear()
    with level_party.open(tmp_path / "copy") as copy:
        assert len(list(copy)) == 2000
    with pytest.raises(level_party.AlreadyExistsError):
        db.checkpoint(tmp_path / "copy")
    assert db.losses() == db.acknowledge_losses() == []


def test_repair_and_destroy(path):
    with level_party.open(path) as db:
        db[b"a"] = b"1"
    (path / "CURRENT").unlink()
    plan = level_party.repair(path, dry_run=True)
    assert not plan.done and plan.problems[0].file == "CURRENT"
    assert level_party.repair(path).done
    with level_party.open(path) as db:
        assert db[b"a"] == b"1"
    assert level_party.destroy(path).directory_removed
    assert not path.exists()


def test_leadership_stays_where_nobody_else_is(db):
    then = db.yield_leadership()
    assert not then.handed_over and then.leader_pid == os.getpid()


def test_events_end_with_the_handle(path):
    db = level_party.open(path)
    events = db.events()
    assert db.events().next(timeout=0) is None
    db.close()
    told = list(events)
    assert {event.event for event in told} <= {"elected", "stepped-down"}


def test_watch_tells_changes_in_order(db):
    with db.watch(prefix=b"k") as watch:
        db.update({b"k1": b"1", b"other": b""})
        db.delete(b"k1")
        first, second = next(watch), next(watch)
        assert first == level_party.Change(1, b"k1", b"1")
        assert second == (3, b"k1", None)
        assert watch.next(timeout=0) is None
        position = watch.position
    with pytest.raises(level_party.ClosedError):
        next(watch)
    db[b"k2"] = b"2"
    with db.watch(position, prefix=b"k") as watch:
        assert next(watch).key == b"k2"
    with db.sublevel("s").watch() as watch:
        db.sublevel("s")[b"x"] = b""
        assert next(watch).key == b"x"


def test_watch_from_the_beginning_and_after_a_number(db):
    for n in range(3):
        db[b"%d" % n] = b""
    with db.watch(beginning=True) as watch:
        assert [next(watch).sequence for _ in range(3)] == [1, 2, 3]
    with db.watch(2) as watch:
        assert next(watch).key == b"2"
    with pytest.raises(TypeError):
        db.watch(2, beginning=True)
    with pytest.raises(TypeError):
        db.watch(2.5)


def test_watch_says_what_is_missing(path):
    with level_party.open(path, watch_history_bytes=1, write_buffer_size=1 << 16) as db:
        value = os.urandom(1000)
        for n in range(1000):
            db[b"%d" % n] = value
        db.compact()
        with db.watch(1) as watch:
            gap = next(watch)
        assert isinstance(gap, level_party.Gap) and gap.missing == 2 and gap.resume > 2


def test_watch_is_closed_from_another_thread(db):
    watch, raised = db.watch(), []

    def follow():
        try:
            next(watch)
        except level_party.ClosedError as error:
            raised.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    watch.close()
    thread.join()
    assert len(raised) == 1


def test_pickled_handles_are_opened_anew(path):
    with level_party.open(path, timeout=5) as db:
        part = db.sublevel("a").sublevel("b", separator="#")
        part[b"x"] = b"1"
        again, same = pickle.loads(pickle.dumps((db, part)))
        assert same[b"x"] == b"1" and same.prefix == part.prefix
        again[b"y"] = b"2"
        assert db[b"y"] == b"2"
        again.close()
        assert db[b"y"] == b"2"
