"""LevelDB 1.22 as a peer, through PyPI's plyvel: speaks the lines of README.md."""

import sys

import plyvel


def entries(pairs):
    for key, value in pairs:
        sys.stdout.write(f"{key.hex()} {value.hex()}\n")
    return "."


def write(db, sync, operations):
    batch = db.write_batch(sync=sync == "1")
    for operation in operations:
        kind, key, *value = operation.split(":")
        if kind == "p":
            batch.put(bytes.fromhex(key), bytes.fromhex(value[0]))
        else:
            batch.delete(bytes.fromhex(key))
    batch.write()
    return "ok"


def seek(db, key):
    with db.raw_iterator(verify_checksums=True) as at:
        at.seek(bytes.fromhex(key))
        return entries([at.item()] if at.valid() else [])


def answer(db, snapshots, command, words):
    if command == "write":
        return write(db, words[0], words[1:])
    if command == "get":
        value = db.get(bytes.fromhex(words[0][1:]), verify_checksums=True)
        return "none" if value is None else "=" + value.hex()
    if command == "seek":
        return seek(db, words[0][1:])
    if command in ("forward", "backward"):
        moment = db if words[0] == "now" else snapshots[words[0]]
        return entries(moment.iterator(reverse=command == "backward", verify_checksums=True))
    if command == "snapshot":
        snapshots[words[0]] = db.snapshot()
        return "ok"
    if command == "release":
        snapshots.pop(words[0]).close()
        return "ok"
    if command == "compact":
        db.compact_range()
        return "ok"
    raise ValueError("no command: " + command)


def main():
    path, *words = sys.argv[1:]
    given = {name: int(value) for name, value in (word.split("=") for word in words)}
    options = {name: given[name] for name in ("write_buffer_size", "block_size", "block_restart_interval", "max_file_size")}
    options["compression"] = "snappy" if given["snappy"] else None
    options["bloom_filter_bits"] = given["bloom"]
    db = plyvel.DB(path, create_if_missing=True, paranoid_checks=True, **options)
    print("open", flush=True)
    snapshots = {}
    for line in sys.stdin:
        command, *words = line.rstrip("\n").split(" ")
        print(answer(db, snapshots, command, words), flush=True)
    db.close()


main()
