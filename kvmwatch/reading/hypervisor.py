"""One hypervisor under one deadline: its connection, its provider of statistics, its lanes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import libvirt

from kvmwatch.model.errors import DeadlineExceeded
from kvmwatch.reading import bulk
from kvmwatch.reading.connection import Connection, explained, is_local, open_readonly, opened, uri_scheme
from kvmwatch.reading.deadline import Deadline, Started

if TYPE_CHECKING:
    from kvmwatch.reading.lanes import Crew

T = TypeVar("T")


class Hypervisor:
    """A read-only connection whose every call is under the deadline of the command.

    ``provider`` is the module that reads statistics: :mod:`~kvmwatch.reading.bulk` or
    :mod:`~kvmwatch.reading.classic`.
    """

    def __init__(self, uri: str, deadline: Deadline) -> None:
        """Begin to connect; :meth:`connect` waits until it is done."""
        self.uri = uri
        self._deadline = deadline
        self._connecting = Started(self._timed)
        self.connection: Connection = None
        self.connected_in = 0.0  # seconds
        self.provider = _provider(uri)

    def _timed(self) -> tuple[Connection, float]:
        begun = time.monotonic()
        return open_readonly(self.uri), time.monotonic() - begun

    def connect(self) -> None:
        """Have a connection. Raises KvmwatchError."""
        if self.connection is None:
            self.connection, self.connected_in = self.wait(self._connecting)

    def call(self, function: Callable[[], T]) -> T:
        """Make a call. Raises KvmwatchError; DeadlineExceeded is one."""
        return self.wait(Started(function))

    def wait(self, started: Started[T]) -> T:
        """Wait for a call that was started before. Raises KvmwatchError."""
        try:
            return started.wait(self._deadline)
        except DeadlineExceeded as error:
            raise self.no_answer() from error
        except libvirt.libvirtError as error:
            raise explained(error, self.uri) from error

    def no_answer(self) -> DeadlineExceeded:
        """The error of a daemon that did not answer in time."""
        return DeadlineExceeded(
            f"libvirt at {self.uri} gave no answer within {self._deadline.seconds:g} s: the daemon or the way to "
            "it hangs; look at it with 'virsh list', then restart it"
        )

    def another(self) -> Connection:
        """Open another connection (may block). Calls beside one that hangs were seen to hang, too.

        The test driver lives in this process, where another connection is another world. Raises KvmwatchError.
        """
        return self.connection if uri_scheme(self.uri) == "test" else open_readonly(self.uri)

    def renew(self) -> None:
        """Leave the connection behind for another one. Raises KvmwatchError."""
        self.connection = self.call(self.another)

    def beside(self, uri: str) -> Hypervisor:
        """The same for another thread, with a connection of its own to this URI of the same machine.

        The test driver lives in this process, where another connection is another world. Raises libvirtError.
        """
        import copy  # noqa: PLC0415 - few commands read anything beside the domains

        other = copy.copy(self)
        if uri_scheme(self.uri) != "test":
            other.uri, other.connection = uri, opened(libvirt.openReadOnly, uri)
        return other

    def crew(self, most: int | None = None) -> Crew:
        """Make lanes for calls that may hang, at most so many; one where a connection costs an ssh session."""
        from kvmwatch.reading.lanes import LANES, Crew  # noqa: PLC0415 - not for commands that ask no QEMU

        return Crew(self.another, (most or LANES) if is_local(self.uri) else 1)


def _provider(uri: str) -> ModuleType:
    if uri_scheme(uri) == "qemu":
        return bulk
    from kvmwatch.reading import classic  # noqa: PLC0415 - only for drivers without bulk statistics

    return classic
