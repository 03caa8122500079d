"""Speaks docs/EXEC.md from Python, with nothing but its standard library: a database that several programs share.

Usage: exec.py PROGRAM DIR
"""

import base64
import json
import signal
import subprocess
import sys


class Party:
    """One handle: a `level-party exec` process."""

    def __init__(self, program, directory):
        self.process = subprocess.Popen(
            [program, "exec", directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.events = []
        self.calls = 0

    def line(self):
        line = self.process.stdout.readline()
        assert line, "the program has gone"
        return json.loads(line)

    def send(self, **request):
        self.calls += 1
        request["id"] = self.calls
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        return self.calls

    def call(self, **request):
        sent = self.send(**request)
        while True:
            answer = self.line()
            if "ok" in answer:
                assert answer["id"] == sent, answer
                return answer
            self.events.append(answer)

    def event(self):
        return self.events.pop(0) if self.events else self.line()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def main(program, directory):
    leader, other = Party(program, directory), None
    assert leader.call(op="status")["role"] == "leader"
    other = Party(program, directory)
    assert other.call(op="status")["role"] == "follower"

    # Any bytes; a key that is not there.
    raw = {"base64": base64.b64encode(bytes(range(256))).decode()}
    assert leader.call(op="put", key="raw", value=raw) == {"id": 2, "ok": True, "sequence": 1}
    assert other.call(op="get", key="raw")["value"] == raw
    assert other.call(op="get", key="none")["value"] is None
    assert other.call(op="put", key="é", value="ü\u0000")["ok"]
    assert leader.call(op="get", key="é")["value"] == "ü\u0000"

    # A watch goes on when the leader is killed.
    watch = other.call(op="watch", prefix="n")
    assert watch["ok"], watch
    for n in range(100):
        sender = leader if n < 50 else other
        if n == 50:
            leader.process.send_signal(signal.SIGKILL)
            leader.process.wait()
        assert sender.call(op="put", key=f"n{n:03}", value=str(n))["ok"]
    seen = [other.event() for _ in range(100)]
    assert [event["key"] for event in seen] == [f"n{n:03}" for n in range(100)]
    assert all(event["watch"] == watch["id"] and "ok" not in event for event in seen)
    assert other.call(op="unwatch", watch=watch["id"])["ok"]

    # Many calls sent ahead, answered in order.
    ids = [other.send(op="get", key=f"n{n:03}") for n in range(100)]
    answers = [other.line() for _ in ids]
    assert [answer["id"] for answer in answers] == ids
    assert [answer["value"] for answer in answers] == [str(n) for n in range(100)]

    # A mistake is answered, and the dialogue goes on.
    assert other.call(op="get", keys=["a"])["error"]["kind"] == "InvalidArgument"
    assert other.call(op="clear", prefix="n")["removed"] == 100
    assert other.call(op="status")["role"] == "leader"
    other.close()
    print("spoken")


if __name__ == "__main__":
    main(*sys.argv[1:])
