"""What the users of this machine are called."""

from __future__ import annotations

import os
import pwd


def name(number: int | None = None) -> str:
    """The name of a user, without a number of who this process is.

    It is the number where that has no name, as in a container that runs with any.
    """
    number = os.geteuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
