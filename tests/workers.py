"""``--workers N``: run the tests in N processes that are forked when all tests are collected.

A worker of pytest-xdist imports pytest, the libraries and every test anew, and collects them: one to two seconds of a
CPU each, and tests that wait want many. These begin where collecting ended.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from itertools import groupby
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import IO, Any, NoReturn

import pytest

#: of a module whose tests cannot run beside each other
TOGETHER = "together"
_TURN = struct.Struct("II")  # the indices of the first test and after the last


class Workers:
    """Runs the tests of a session in processes of their own, and tells of them as if they had run in this one."""

    def __init__(self, config: pytest.Config, number: int) -> None:
        self._config = config
        self._number = number

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed or self._config.option.collectonly:
            return None  # pytest tells so
        self._config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # once for all
        working: dict[Connection, int] = {}  # PID by what it tells
        with tempfile.TemporaryFile(buffering=0) as turns:  # they share its position: who reads, takes
            turns.write(b"".join(_turns(session.items)))
            turns.seek(0)
            try:
                for number in range(min(self._number, len(session.items))):
                    ours, theirs = connection.Pipe(duplex=False)
                    pid = os.fork()
                    if not pid:
                        _work(session, number, turns, theirs)
                    theirs.close()
                    working[ours] = pid
                self._listen(session, working)
            finally:
                for pid in working.values():
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        return True

    def _listen(self, session: pytest.Session, working: dict[Connection, int]) -> None:
        """Hand on what the workers tell, until all have ended."""
        hook = self._config.hook
        unfinished = {item.nodeid: item for item in session.items}
        ended = []
        while working:
            for end in connection.wait(list(working)):
                assert isinstance(end, Connection)
                try:
                    what, told = end.recv()
                except EOFError:
                    ended.append(os.waitstatus_to_exitcode(os.waitpid(working.pop(end), 0)[1]))
                    continue
                if what == "warning":
                    hook.pytest_warning_recorded.call_historic(kwargs=told)
                    continue
                report = hook.pytest_report_from_serializable(config=self._config, data=told)
                if report.when == "teardown":
                    del unfinished[report.nodeid]
                hook.pytest_runtest_logreport(report=report)
            if session.shouldfail:
                raise session.Failed(session.shouldfail)
            if session.shouldstop:
                raise session.Interrupted(session.shouldstop)
        for item in unfinished.values():
            why = f"not finished: the processes that ran the tests ended with {ended}"
            hook.pytest_runtest_logreport(
                report=pytest.TestReport(item.nodeid, item.location, {}, "failed", why, "call")
            )
        if any(ended) and not unfinished:
            raise RuntimeError(f"the processes that ran the tests ended with {ended}")


class _Teller:
    """What a worker has instead of a terminal."""

    def __init__(self, config: pytest.Config, end: Connection) -> None:
        self._config = config
        self._end = end

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._end.send(("report", data))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        warning_message.source = None  # an object of this process
        told = {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
        self._end.send(("warning", told))


def _work(session: pytest.Session, number: int, turns: IO[bytes], end: Connection) -> NoReturn:
    """Be a worker: run tests until none is left."""
    status = 1
    gc.set_threshold(100_000, 50, 100)  # most of what tests leave is no garbage to search: that took a twentieth
    try:
        config = session.config
        config.pluginmanager.unregister(name="terminalreporter")
        # files that are its own for what is captured, and a folder: the others' would be looked through for each test
        capture: Any = config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()
        capture.start_global_capturing()
        folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
        folders._basetemp = folders.getbasetemp() / str(number)
        folders._basetemp.mkdir()
        config.pluginmanager.register(_Teller(config, end))
        taken = _taken(session.items, turns)
        item = next(taken, None)
        while item:
            following = next(taken, None)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            item = following
        status = 0
    except KeyboardInterrupt:
        pass  # the first process has it, too
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(status)


def _turns(items: Sequence[pytest.Item]) -> Iterator[bytes]:
    """Each test, or all of a module that want to be together."""
    alone = [(item.path if item.get_closest_marker(TOGETHER) else number) for number, item in enumerate(items)]
    for _, numbers in groupby(range(len(items)), alone.__getitem__):
        first, *others = numbers
        yield _TURN.pack(first, first + len(others) + 1)


def _taken(items: Sequence[pytest.Item], turns: IO[bytes]) -> Iterator[pytest.Item]:
    while turn := turns.read(_TURN.size):
        yield from items[slice(*_TURN.unpack(turn))]
