"""The last words of a process: said once, in time, whatever its main thread is in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kvmwatch.model.errors import what_ended
from kvmwatch.reading import deadline

_BEGIN = """
import ctypes, os, sys, time
from kvmwatch.command import watchdog
from kvmwatch.command.watchdog import Said
from kvmwatch.model.doing import doing
def late(message):
    return Said(f"late: {message}\\n", 3)
"""
#: calls that are not interrupted: by no signal (as a dead NFS server's), by no thread, or not for long
HELD = {
    "C that no signal ends": "mutex = bytes(64); [ctypes.CDLL(None).pthread_mutex_lock(mutex) for _ in range(2)]",
    "an expression": "import re; re.match('(a+)+$', 'a' * 60 + '!')",
    "an expression after a destructor that lost the first signal": """
    import re
    class Lost:
        def __del__(self):
            time.sleep(600)
    Lost()
    re.match('(a+)+$', 'a' * 60 + '!')""",
    "a wait": "time.sleep(600)",
    "cleaning up that hangs": """
    try:
        time.sleep(600)
    finally:
        time.sleep(600)""",
}


def script(work: str, seconds: float = 1.0) -> list[str]:
    text = f"{_BEGIN}\ndef work():\n    {work}\nwatchdog.run(work, late, {seconds})"
    return [sys.executable, "-c", text]


def ran(work: str, seconds: float = 1.0) -> tuple[int, str, str]:
    made = subprocess.run(script(work, seconds), capture_output=True, text=True, timeout=60, check=False)
    return made.returncode, made.stdout, made.stderr


def test_what_the_work_gives_is_printed() -> None:
    assert ran("return Said('Büro\\n', 2)") == (2, "Büro\n", "")
    assert ran("return Said('no\\n', 1, on_stderr=True)") == (1, "", "no\n")
    assert ran("return Said('x' * 1_000_000, 0)") == (0, "x" * 1_000_000, "")
    assert ran("return Said('')") == (3, "", "")


NO_THREADS = """
import threading
def refused(*_):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refused
"""


def test_without_proc_its_time_begins_when_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a chroot; it was an internal error of every command."""
    monkeypatch.setattr(deadline, "_STAT", "/proc/nowhere")
    before = time.monotonic()
    assert before <= deadline._begun.__wrapped__(1) <= time.monotonic()


def test_where_no_thread_can_be_started_it_is_said_and_the_signal_ends_it() -> None:
    """As where a user has as many processes as it may; there was a traceback, and code 1 is WARNING."""
    for work, told in (
        ("return Said('well\\n', 0)", (0, "well\n")),
        ("time.sleep(600)", (3, "late: not done within 1 s\n")),
    ):
        text = f"{_BEGIN}{NO_THREADS}def work():\n    {work}\nwatchdog.run(work, late, 1)"
        made = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
        )
        assert (made.returncode, made.stdout, made.stderr) == (*told, "")
    assert what_ended(RuntimeError("can't start new thread")).startswith(
        "no thread can be started: raise the limit"
    )


@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_it_ends_whatever_holds_it(held: str) -> None:
    work = f"with doing('holding'):\n        {held.strip().replace(chr(10), chr(10) + '    ')}"
    # where the machine is too busy to come so far in the first of these times
    said = ran(work, seconds := 0.4)
    while "holding" not in said[1] and seconds < 4:
        said = ran(work, seconds := seconds + 2)
    assert said == (3, f"late: not done within {seconds:g} s, stopped while holding\n", "")


def test_a_limit_that_is_given_later_counts_and_one_that_is_renewed() -> None:
    assert ran("watchdog.limit(0.5); time.sleep(600)", 1000)[:2] == (3, "late: not done within 0.5 s\n")
    steps = "for _ in range(8):\n        watchdog.renew(); time.sleep(0.5)\n    return Said('done\\n', 0)"
    assert ran(steps, 2) == (0, "done\n", "")
    assert ran("return Said('done\\n', 0)", 1e300) == (0, "done\n", "")


@pytest.mark.parametrize("before", [1.0, 4.0])
def test_a_start_that_takes_long_counts_but_not_what_was_another_program_before(before: float) -> None:
    """As where a machine is busy; and as a shell that sleeps before it becomes our command."""
    script_ = f'sleep {before}; exec "$@"'
    work = "watchdog.limit(1000); print(1000 + time.monotonic() - watchdog._watchdog._end); return Said('', 0)"
    begun = time.monotonic()
    made = subprocess.run(
        ["sh", "-c", script_, "sh", *script(work)], capture_output=True, text=True, timeout=60, check=True
    )
    counted, took = float(made.stdout), time.monotonic() - begun
    if before == 1.0:  # of a machine on which all took longer than a start may, nothing can be said
        assert counted >= before or took > 3
    else:
        assert counted < before


@pytest.mark.parametrize("later", range(8))
def test_one_of_both_has_the_last_word(later: int) -> None:
    """Work that is done just when the time is over."""
    end = 0.3 + (later - 4) / 1000
    code, out, err = ran(f"time.sleep({end}); return Said('done\\n', 0)", 0.1)
    assert (code, out, err) in ((0, "done\n", ""), (3, "late: not done within 0.1 s\n", ""))


@pytest.mark.parametrize("later", [0.00005, 0.0002, 0.0005])
def test_it_has_the_last_word_from_its_first_moment(later: float) -> None:
    """A process that got no CPU until its time was over, when it had just begun. The signal comes 0.2 s after -t."""
    code, out, err = ran("return Said('done\\n', 0)", later - 0.2)
    assert (code, out.partition(":")[0], err) in ((0, "done\n", ""), (3, "late", ""))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("held", HELD.values(), ids=HELD)
def test_a_signal_ends_it_too_and_its_children(
    tmp_path: Path, mark: dict[str, str], number: signal.Signals, held: str
) -> None:
    begun = tmp_path / "begun"
    start = f"import subprocess; subprocess.Popen(['sleep', '600']); open({str(begun)!r}, 'w').close()\n    {held}"
    # what tests run in the background ignores SIGINT, and so would this
    command = ["env", "--default-signal", *script(start, 1000)]
    with subprocess.Popen(command, env={**os.environ, **mark}, stdout=subprocess.PIPE) as process:
        until = time.monotonic() + 60
        while not begun.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(number)
        try:
            assert process.wait(60) in (-number, 128 + number)
        finally:
            process.kill()


def test_signals_that_the_parent_ignores_stay_ignored() -> None:
    """As nohup and a shell's background want it."""
    work = "os.kill(os.getpid(), 1); os.kill(os.getpid(), 2); return Said('done\\n', 0)"
    made = subprocess.run(
        ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *script(work)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stdout, made.stderr) == (0, "done\n", "")


def test_nobody_there_to_read() -> None:
    """No traceback, and no success that nobody has seen; only who has closed a pipe does not want to know."""
    closings = {">&-": "Bad file descriptor", "> /dev/full": "No space left on device", "| true": ""}
    for closing, why in closings.items():
        shell = 'shift_code() { "$@" ' + closing + '; }; shift_code "$@"'
        made = subprocess.run(
            ["bash", "-o", "pipefail", "-c", shell, "sh", *script("time.sleep(0.5); return Said('x\\n', 0)", 60)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 3, closing
        assert made.stderr == (f"-c: cannot write what there is to say: {why}\n" if why else ""), closing


@pytest.mark.parametrize("closing", ["2>&-", "2> /dev/full", "0<&- 2>&-", "2> >(true)"])
def test_what_is_said_beside_is_not_output_and_costs_none(closing: str) -> None:
    """Of a stderr that is closed, print made stdout; one that takes nothing ended the command."""
    work = "time.sleep(0.3); print('beside', file=sys.stderr); return Said('x\\n', 0)"
    made = subprocess.run(
        ["bash", "-c", f'"$@" {closing}', "bash", *script(work, 60)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (made.returncode, made.stdout) == (0, "x\n")


def test_a_closed_stderr_has_nothing_else_in_its_place() -> None:
    """What is opened then would be told what goes wrong: a file, or libvirt's socket."""
    work = "return Said(f'{os.open(os.devnull, os.O_RDONLY) > 2}\\n', 0)"
    made = subprocess.run(
        ["bash", "-c", '"$@" 2>&-', "bash", *script(work, 60)], stdout=subprocess.PIPE, text=True, check=False
    )
    assert (made.returncode, made.stdout) == (0, "True\n")
