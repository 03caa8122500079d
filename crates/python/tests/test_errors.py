"""What is raised, and what it says."""

import pickle
import subprocess
import sys

import level_party
import pytest


def test_classes_have_a_common_base_and_builtin_kin(path, tmp_path):
    with pytest.raises(level_party.NotFoundError) as raised:
        level_party.open(path, create_if_missing=False)
    error = raised.value
    assert isinstance(error, level_party.Error) and isinstance(error, FileNotFoundError)
    assert error.kind == "NotFound" and error.had_no_effect and not error.is_retryable
    assert str(path) in str(error)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        level_party.open(tmp_path / "file")
    with level_party.open(path) as db:
        with pytest.raises(level_party.InvalidArgumentError) as raised:
            db.watch("no position")
        assert isinstance(raised.value, ValueError)
        with pytest.raises(level_party.LockedError) as raised:
            level_party.destroy(path)
        assert raised.value.is_retryable
    with pytest.raises(FileExistsError):
        level_party.open(path, error_if_exists=True)
    with pytest.raises(level_party.NoLeaderError):
        level_party.open(path, lead="join")


def test_every_kind_has_a_class():
    kinds = """NotFound AlreadyExists NotADirectory PermissionDenied Locked UnsupportedFilesystem IncompatibleVersion Timeout
    ConnectionLost OutcomeUnknown SnapshotLost Corruption InvalidArgument OutOfSpace Closed Forked Protocol Io Conflict Busy
    ReadOnly Encoding NoLeader Moved Unsupported""".split()
    for kind in kinds:
        error = level_party._errors._make(kind, "what", True, False)
        assert type(error) is getattr(level_party, f"{kind}Error")
        assert (error.kind, error.is_retryable, error.had_no_effect) == (kind, True, False)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and again.is_retryable and str(again) == "what"
    assert issubclass(level_party.TimeoutError, TimeoutError)


def test_rejected_and_late_writes(path):
    level_party.open(path).close()
    with level_party.open(path, reject_writes=True) as db:
        with pytest.raises(level_party.ReadOnlyError):
            db.put(b"a", b"")
    with level_party.open(path, timeout=0) as db:
        with pytest.raises(TimeoutError) as raised:
            db.put(b"a", b"")
        assert raised.value.had_no_effect


def test_options_are_checked(path):
    for words, error in [
        ({"no_such": 1}, TypeError),
        ({"sync": "yes"}, TypeError),
        ({"timeout": "1"}, TypeError),
        ({"timeout": -1.0}, ValueError),
        ({"lead": "maybe"}, ValueError),
        ({"compression": "zstd"}, ValueError),
        ({"queue_bytes": -1}, (TypeError, OverflowError)),
    ]:
        with pytest.raises(error):
            level_party.open(path, **words)
    assert not path.exists()


def test_every_option_is_taken(path):
    options = dict(
        create_if_missing=True, error_if_exists=True, reject_writes=False, sync=True, lead="auto", open_timeout=5,
        timeout=float("inf"), retry=False, queue_bytes=1 << 20, when_full="busy", write_buffer_size=1 << 20, block_size=2048,
        max_file_size=1 << 20, compression="none", bloom_bits_per_key=10, watch_history_bytes=0, block_cache_bytes=0,
        map_tables=True, raise_descriptor_limit=False,
    )  # fmt: skip
    with level_party.open(path, **options) as db:
        db[b"a"] = b"1"
        assert db[b"a"] == b"1"
        script = "import level_party, sys; print(*level_party.open(sys.argv[1]).status().differing_options, sep='\\n')"
        child = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
        differing = child.stdout.splitlines()
        assert {line.split(":")[0] for line in differing} == {
            "write_buffer_size", "block_size", "max_file_size", "compression", "bloom_bits_per_key", "watch_history_bytes",
        }  # fmt: skip
        with pytest.raises(level_party.InvalidArgumentError):
            db.watch()


def test_native_arguments_that_are_no_bytes(db):
    with pytest.raises(TypeError, match="bytes-like, not str"):
        db.get("a")
