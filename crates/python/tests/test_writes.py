"""Batches, transactions, and what is refused."""

import threading

import level_party
import pytest


def test_batch_is_written_at_the_end_of_its_block(db):
    users = db.sublevel("users")
    with db.batch() as batch:
        batch.put(b"a", b"1")
        batch[b"b"] = b"2"
        batch.put_in(users, b"ada", b"1815")
        del batch[b"a"]
        assert len(batch) == 4 and batch.byte_size > 0
        assert list(db) == []
    assert list(db.items()) == [(b"!users!ada", b"1815"), (b"b", b"2")]
    assert len(batch) == 0 and batch
    with db.batch(sync=True) as batch:
        batch.delete_in(users, b"ada")
        batch.delete(b"b")
    assert list(db) == []


def test_batch_of_a_block_that_raises_is_not_written(db):
    with pytest.raises(ZeroDivisionError):
        with db.batch() as batch:
            batch.put(b"a", b"1")
            1 / 0
    assert list(db) == [] and len(batch) == 0


def test_batch_of_a_sublevel_has_its_keys(db):
    users = db.sublevel("users")
    batch = users.batch()
    batch.put(b"ada", b"1815")
    batch.put_in(db, b"top", b"")
    batch.write()
    assert list(db) == [b"!users!ada", b"top"]


def test_batch_that_cannot_be_written_stays(db):
    batch = db.batch()
    batch.put(b"x" * (17 << 20), b"")
    with pytest.raises(level_party.InvalidArgumentError) as raised:
        batch.write()
    assert raised.value.had_no_effect and not raised.value.is_retryable
    batch.clear()
    batch.put(b"a", b"1")
    batch.write()
    assert list(db) == [b"a"]


@pytest.mark.parametrize("sync", [None, False, True])
def test_writes_say_whether_they_are_synced(db, sync):
    db.put(b"a", b"1", sync=sync)
    db.put(b"b", b"1", sync=sync)
    db.delete(b"b", sync=sync)
    assert list(db) == [b"a"]


def test_transaction_of_a_function_runs_again_after_a_conflict(db):
    db[b"n"] = b"1"
    runs = []

    def body(tx):
        runs.append(tx)
        n = int(tx[b"n"])
        if len(runs) == 1:
            db[b"n"] = b"10"  # behind its back
        tx[b"n"] = b"%d" % (n + 1)
        return n

    assert db.transaction(body) == 10
    assert db[b"n"] == b"11" and len(runs) == 2
    for tx in runs:
        with pytest.raises(level_party.ClosedError):
            tx.get(b"n")


def test_transaction_of_a_block_commits(db):
    db[b"from"] = b"3"
    with db.transaction() as tx:
        assert tx.get(b"from") == b"3" and b"to" not in tx
        tx.put(b"to", tx[b"from"])
        del tx[b"from"]
        assert b"from" not in tx and tx[b"to"] == b"3"
        assert db.get(b"to") is None
        with pytest.raises(KeyError):
            del tx[b"from"]
    assert list(db.items()) == [(b"to", b"3")]


def test_transaction_of_a_block_raises_conflict(db):
    with pytest.raises(level_party.ConflictError) as raised:
        with db.transaction() as tx:
            tx.get(b"a")
            tx.put(b"b", b"")
            db.put(b"a", b"")
    assert raised.value.is_retryable and raised.value.had_no_effect
    assert list(db) == [b"a"]


def test_transaction_that_raises_writes_nothing(db):
    with pytest.raises(ZeroDivisionError):
        with db.transaction() as tx:
            tx.put(b"a", b"")
            1 / 0
    with pytest.raises(level_party.ClosedError):
        tx.put(b"a", b"")

    def body(tx):
        tx.put(b"a", b"")
        1 / 0

    with pytest.raises(ZeroDivisionError):
        db.transaction(body)
    assert list(db) == []


def test_block_is_entered_once(db):
    block = db.transaction()
    with block:
        pass
    with pytest.raises(RuntimeError):
        block.__enter__()


def test_transaction_walks_over_what_it_wrote(db):
    part = db.sublevel("part")
    part.update({b"a": b"1", b"b": b"2", b"d": b"4"})
    with db.transaction() as whole:
        tx = whole.of(part)
        tx.delete(b"b")
        tx.update({b"c": b"3"})
        assert list(tx) == [b"a", b"c", b"d"]
        assert list(tx.items(reverse=True, limit=2)) == [(b"d", b"4"), (b"c", b"3")]
        assert list(tx.values(gt=b"a")) == [b"3", b"4"]
        assert tx.first() == (b"a", b"1") and tx.last(lt=b"d") == (b"c", b"3")
        assert tx.get_many([b"a", b"b"]) == [b"1", None]
        whole.sync(True)
    assert list(part) == [b"a", b"c", b"d"]


def test_transaction_conflicts_only_with_what_it_gave(db):
    db.update((b"%03d" % n, b"x" * 100) for n in range(1000))
    with db.transaction() as tx:
        assert next(iter(tx.keys())) == b"000"
        tx.put(b"done", b"")
        db.put(b"500", b"")  # far behind what was given
    assert b"done" in db


def test_counters_of_threads_lose_nothing(db):
    def count():
        for _ in range(100):
            db.transaction(lambda tx: tx.put(b"n", b"%d" % (int(tx.get(b"n", b"0")) + 1)))
            db.modify(b"m", lambda held: b"%d" % (int(held or b"0") + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (db[b"n"], db[b"m"]) == (b"400", b"400")
