"""Errors that end a command with one line for the person on call."""


class KvmwatchError(Exception):
    """Something the user can act on; its text is one line and says what to do."""


class UsageError(KvmwatchError):
    """An option, range, pattern or metric name that cannot be used."""


class DeadlineExceeded(KvmwatchError):
    """The hypervisor did not answer within the time limit of the command."""
