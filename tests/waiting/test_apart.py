"""Work in a process of its own: what it gives, and that whatever becomes of it costs no more than its time."""

from __future__ import annotations

import _thread
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from kvmwatch.command import apart
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.reading.deadline import Deadline


class Told(NamedTuple):
    value: str
    left: float
    allowed: float
    pid: int


def told(value: str, deadline: Deadline) -> Told:
    return Told(value, deadline.remaining(), deadline.seconds, os.getpid())


def fails(error: Exception, _: Deadline) -> None:
    raise error


def hangs(_: Deadline) -> None:
    time.sleep(60)


def dies(number: int, _: Deadline) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def starts(file: str, _: Deadline) -> None:
    """As libvirt starts ssh."""
    Path(file).write_text(str(subprocess.Popen(["sleep", "60"]).pid))
    time.sleep(60)


class Ring:
    def __init__(self) -> None:
        self.ring = self


def refers_to_itself(_: Deadline) -> int:
    Ring()
    return sum(isinstance(thing, Ring) for thing in gc.get_objects())


def leaves(how: Callable[..., object], seconds: float, _: Deadline) -> int:
    """As a call that hangs does, or one that is just ending."""
    how(time.sleep, (seconds,))
    return os.getpid()


def begin(function: Callable[..., object], arguments: tuple[float]) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def begin_unknown_to_threading(function: Callable[..., object], arguments: tuple[float]) -> None:
    """As a connection is closed that nobody knows any more."""
    begun = threading.Event()

    def run() -> None:
        begun.set()
        function(*arguments)

    _thread.start_new_thread(run, ())
    begun.wait()


def ended(pid: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def until_ended(pid: int) -> None:
    end = time.monotonic() + 20
    while not ended(pid):
        assert time.monotonic() < end, "it lives on"
        time.sleep(0.05)


def leads(_: Deadline) -> bool:
    return os.getsid(0) == os.getpid()


def test_what_it_gives_comes_from_another_process() -> None:
    there = apart.run(partial(told, "web1"), 20)
    assert there.value == "web1"
    assert 1 < there.left < 20, "some of the time is kept back for the way"
    assert there.allowed == 20, "what messages tell is what the user gave"
    assert there.pid != os.getpid()


def pid_of_next() -> int:
    return apart.run(partial(told, ""), 20).pid


def test_the_same_process_does_what_comes_next_until_it_has_done_much(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = pid_of_next()
    assert [pid_of_next() for _ in range(3)] == [pid] * 3
    with pytest.raises(KvmwatchError):
        apart.run(partial(fails, KvmwatchError("libvirt is not running")), 20)
    assert pid_of_next() == pid
    monkeypatch.setattr(apart, "_MOST", 1)
    assert pid_of_next() == pid
    assert pid_of_next() != pid


@pytest.mark.parametrize("how", [begin, begin_unknown_to_threading])
@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_one_that_leaves_something_behind_does_nothing_else(seconds: float, how: Callable[..., object]) -> None:
    pid = pid_of_next()
    assert apart.run(partial(leaves, how, seconds), 20) == pid
    assert (pid_of_next() == pid) == (not seconds)
    if seconds:
        until_ended(pid)


def test_one_that_has_gone_meanwhile() -> None:
    pid = pid_of_next()
    os.kill(pid, signal.SIGKILL)
    until_ended(pid)
    assert pid_of_next() != pid


def test_one_that_stands_still_takes_nothing_and_holds_nobody_up() -> None:
    pid = pid_of_next()
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="no answer within"):
        apart.run(partial(told, "x" * 10_000_000), 3)
    assert time.monotonic() - begun < 15
    until_ended(pid)
    assert pid_of_next() != pid


def test_nothing_of_what_was_done_stays() -> None:
    pid_of_next()
    first = apart.run(refers_to_itself, 20)
    assert first == 1
    assert apart.run(refers_to_itself, 20) == 1, "the first is gone, though each refers to itself"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KvmwatchError("libvirt is not running"), "libvirt is not running"),
        (KvmwatchError("qemu://me:secret@kvm1 does not answer"), "qemu://me:***@kvm1 does not answer"),
        (DeadlineExceeded("no answer"), "no answer"),
        (ZeroDivisionError("of ours"), "internal error, please report it: ZeroDivisionError: of ours"),
    ],
)
def test_errors(error: Exception, says: str) -> None:
    with pytest.raises(KvmwatchError) as raised:
        apart.run(partial(fails, error), 20)
    assert str(raised.value) == says
    assert isinstance(raised.value, DeadlineExceeded) == isinstance(error, DeadlineExceeded)


def test_one_that_hangs_is_left_behind() -> None:
    apart.run(partial(told, ""), 20)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.5 s"):
        apart.run(hangs, 0.5)
    assert time.monotonic() - begun < 5


def test_one_whose_birth_takes_long_is_there_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text("import time\ntime.sleep(3)\n")
    script = (
        "import time; from kvmwatch.command import apart; from kvmwatch.model.errors import DeadlineExceeded\n"
        "from kvmwatch.reading.deadline import Deadline\n"
        "apart.warm('large'); begun = time.monotonic()\n"
        "try: apart.run(Deadline.remaining, 0.2)\n"
        "except DeadlineExceeded as error: print(error)\n"
        "assert time.monotonic() - begun < 2.5\n"
        "print(apart.run(Deadline.remaining, 60) > 1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", script]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    late = "the process that reads was not started within 0.2 s; is the machine very busy?"
    assert ran.stdout == f"{late}\nTrue\n", ran.stderr


def test_none_is_born_where_no_thread_is_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(apart, "_idle", [])
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(KvmwatchError, match="is there enough memory"):
        apart.run(Deadline.remaining, 20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_dies(number: int) -> None:
    begun = time.monotonic()
    with pytest.raises(KvmwatchError, match="has ended; is there enough memory"):
        apart.run(partial(dies, number), 30)
    assert time.monotonic() - begun < 20


def test_nothing_of_the_current_folder_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    for name in ("socket", "signal", "struct"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\n")
    script = (
        "from kvmwatch.command import apart; from kvmwatch.reading.deadline import Deadline\n"
        "print(apart.run(Deadline.remaining, 20) > 1)"
    )
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-c", script]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.stdout == "True\n", ran.stderr
    assert not mark.exists()


def test_what_it_has_started_is_ended_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(DeadlineExceeded):
        apart.run(partial(starts, str(file)), 2)
    until_ended(int(file.read_text()))


def test_a_terminal_of_ours_is_none_of_its() -> None:
    assert apart.run(leads, 20)
