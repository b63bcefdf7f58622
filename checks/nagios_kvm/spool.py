"""Nagios's check-result spool: a file with the results of a run."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

from check_kvm.frame.output import DEFAULT_LIMIT

from kvmwatch.model.errors import DENIED, KvmwatchError, advised
from kvmwatch.reading.deadline import Deadline
from nagios_kvm.fitting import escaped
from nagios_kvm.judging import Result
from nagios_kvm.nagios_objects import OfNagios
from nagios_kvm.targets import Taken
from nagios_kvm.turns import Turns


class Spool(OfNagios):
    """A check_result_path. Nagios reads what is there, and tells nobody what it makes of it."""

    limit = DEFAULT_LIMIT

    def send(self, host: str, results: Turns, _deadline: Deadline) -> Taken:
        """Write one file with all results, and the .ok that releases it. Raises KvmwatchError."""
        known = self._objects and self._objects.services
        listed = list(results)
        now = time.time()
        blocks = [
            "### kvmwatch ###\n",
            f"file_time={int(now)}\n\n",
            *(_block(one.host or host, one, now) for one in listed),
        ]
        try:
            _write(self._path, "".join(blocks))
        except OSError as error:
            why = advised(error, "add the user to its group", *DENIED)
            raise KvmwatchError(f"cannot write into {self._path}: {why}") from None
        unknown = [
            one.name for one in listed if known is not None and (one.host or host, one.service) not in known
        ]
        return Taken(len(listed), unknown)


def _block(host: str, result: Result, now: float) -> str:
    return (
        f"host_name={host}\nservice_description={result.service}\ncheck_type=1\ncheck_options=0\n"
        f"scheduled_check=0\nreschedule_check=0\nlatency=0.0\nstart_time={now:.6f}\nfinish_time={now:.6f}\n"
        f"early_timeout=0\nexited_ok=1\nreturn_code={result.code}\noutput={escaped(result.output)}\n\n"
    )


def _write(folder: Path, text: str) -> None:
    # Nagios reads files whose names are a "c" with six characters
    number, name = tempfile.mkstemp(prefix="c", dir=folder)
    path = Path(name)
    wanted = path.with_name(f"c{path.name[-6:]}")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(number, 0o644)
        path.rename(wanted)
        wanted.with_name(f"{wanted.name}.ok").touch()
    except BaseException:
        for left in (path, wanted):  # without its .ok nobody would ever read or remove it
            with contextlib.suppress(OSError):
                left.unlink()
        raise
