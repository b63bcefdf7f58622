"""Errors that end a command with one line for the person on call."""

import errno

from kvmwatch.model.text import readable, without_password

LONGEST_MESSAGE = 4096  # characters; one's own arguments and a driver's words may be in it

_NO_THREAD = "start new thread"  # of Python's message
#: errno of what a user may not do, which another user or group may
DENIED = (errno.EACCES, errno.EPERM)
#: and of what this process or its machine is short of, which says nothing of what was to be looked at
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class KvmwatchError(Exception):
    """Something the user can act on; its text is one line and says what to do, fit for a terminal and for logs."""

    def __init__(self, message: str = "") -> None:
        super().__init__(readable(without_password(message), LONGEST_MESSAGE))


class UsageError(KvmwatchError):
    """An option, range, pattern or metric name that cannot be used.

    ``usage`` is the usage line of the subcommand that refused its options, when it was one.
    """

    def __init__(self, message: str, usage: str = "") -> None:
        super().__init__(message)
        self.usage = usage


class DeadlineExceeded(KvmwatchError):
    """The hypervisor did not answer within the time limit of the command."""


def what_ended(error: Exception) -> str:
    """What is said of an error that has ended something; one that is none of these is a mistake of ours."""
    if isinstance(error, KvmwatchError):
        return str(error)
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return "no thread can be started: raise the limit of this user (ulimit -u) or service (systemd: TasksMax=)"
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in SHORT):
        short = getattr(error, "strerror", None) or "no memory is left"
        return f"{short}: raise the limits of this user (ulimit -n, -v) or service (systemd: LimitNOFILE=)"
    return without_password(f"internal error, please report it: {type(error).__name__}: {error}")


def advised(error: OSError, advice: str, *of: int) -> str:
    """Why the system refused something, and what to do where the errno is one of these.

    A full disk, or a broken one, is not helped by rights.
    """
    return f"{error.strerror}; {advice}" if error.errno in of else f"{error.strerror}"
