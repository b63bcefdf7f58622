"""libvirt's pid files and control groups of QEMUs: what only libvirt can write, of whose QEMU a process is."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Union

from kvmwatch.reading.connection import is_of_session

# as text where we name them ourselves: importing pathlib takes a check 2 % of its time
Folder = Union[str, "os.PathLike[str]"]

#: /machine.slice/machine-qemu\x2d3\x2dweb1.scope with systemd, /machine/qemu-3-web1.libvirt-qemu without; the
#: folders between are the partitions of <resource>
_CGROUP = r"(?m)^[^:]*:[^:]*:/machine(?:\.slice)?/(?:[^\n]*/)?(?:machine-)?qemu(?:-|\\x2d)(\d+)(?:-|\\x2d)"
_AS_IN_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})
_MOST = 64  # bytes of a pid file


class Unfound(Exception):
    """Why a domain's process is not known."""


class Missing(Unfound):
    """There is no pid file: libvirt runs in a container, or the domain has just ended."""


def run_folders(uri: str) -> tuple[str, ...]:
    """Where libvirt's QEMU driver of this URI keeps its pid files (stateDir of qemu_conf.c)."""
    if not is_of_session(uri):
        return "/run/libvirt/qemu", "/var/run/libvirt/qemu"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # of a session without the former
    return f"{runtime}/libvirt/qemu/run", f"{cache}/libvirt/qemu/run"


def pid_file(name: str, folders: Sequence[Folder]) -> tuple[str, int]:
    """The pid file of an active domain, and the PID in it. Raises Unfound, Missing where there is none."""
    # libvirt 9.0 writes the quotes of a name as XML has them. That comes first, or the VM that is
    # called a&quot;b would get the file of a"b.
    spelt = dict.fromkeys((name.translate(_AS_IN_XML), name))
    for folder, called in ((folder, called) for called in spelt for folder in folders):
        file = f"{folder}/{called}.pid"
        # the domain's name in UTF-8, whatever the locale
        path = os.fsencode(folder) + b"/" + called.encode("utf-8", "surrogateescape") + b".pid"
        try:
            number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise Unfound(f"{file}: {error.strerror}") from None
        try:
            text = os.read(number, _MOST).strip()
        except OSError as error:
            raise Unfound(f"{file}: {error.strerror}") from None
        finally:
            os.close(number)
        if not text.isdigit() or not 0 < int(text) < 1 << 31:
            raise Unfound(f"{file} holds no PID")
        return file, int(text)
    raise Missing(f"libvirt has no pid file {folders[0]}/{name}.pid")


def run_of(pid: int, proc: Folder = "/proc") -> int | None:
    """libvirt's number of the run whose control group a process is in; None: in none, or it ended, or is hidden.

    Only root can put one there. Who has a group of his own may call one in it as he likes, but not with a newline;
    read as text, a carriage return would end a line as well.
    """
    try:
        with open(f"{proc}/{pid}/cgroup", "rb") as file:
            return cgroup_id(file.read().decode(errors="replace"))
    except OSError:
        return None


def cgroup_id(text: str) -> int | None:
    """The number in libvirt's group of a ``/proc/PID/cgroup``."""
    named = re.search(_CGROUP, text)
    return int(named[1]) if named else None
