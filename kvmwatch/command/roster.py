"""The last known list of a hypervisor's domains, kept for the time when libvirt's own list does not answer."""

from __future__ import annotations

import time

from kvmwatch.command import state_files
from kvmwatch.reading.collect import Known, Waits

_HEAD = "kvmwatch domains 1"
_UUID = 36  # characters, which a line begins with
_WATCHED, _IGNORED = _MARKS = (" ", "-")  # the character behind it


class Roster:
    """The stored list of one hypervisor: a line of head, and one of UUID, mark and name for each domain."""

    def __init__(self, directory: str | None, uri: str) -> None:
        """``directory`` None: see :func:`state_files.directory`."""
        self._path = state_files.path(state_files.directory(directory), "roster", uri)
        self._text: str | None = None

    def load(self) -> Known:
        """Give what the last run knew; nothing when there is no file or a damaged one."""
        self._text = state_files.read(self._path)
        head, *lines = (self._text or "").split("\n")
        if not head.startswith(_HEAD):
            return Known({})
        lines = [line for line in lines if _has_uuid(line)]
        return Known(
            {line[:_UUID]: line[_UUID + 1 :] for line in lines},
            _waits(head[len(_HEAD) :].split()),
            frozenset(line[:_UUID] for line in lines if line[_UUID] == _IGNORED),
        )

    def save(self, known: Known) -> None:
        """Keep it, if it has changed, and once a day.

        What cannot be kept is missed only when libvirt's list does not answer.
        """
        head = " ".join([_HEAD, *_words(known.waits)])
        # a name cannot have a line break in libvirt; one that had would only be misread here
        text = "\n".join(
            [
                head,
                *(
                    f"{uuid}{_IGNORED if uuid in known.ignored else _WATCHED}{name}"
                    for uuid, name in sorted(known.names.items())
                ),
            ]
        )
        if text != self._text or not state_files.is_of_today(self._path):
            state_files.replace(self._path, text)


def _has_uuid(line: str) -> bool:
    """Whether a line has a UUID and a mark before a name; every run of every check reads all of them."""
    uuid, mark = line[:_UUID], line[_UUID : _UUID + 1]
    dashes = uuid[8:24:5] == "----" and uuid.count("-") == 4
    return len(uuid) == _UUID and mark in _MARKS and dashes and not uuid.strip("-0123456789abcdef")


def _words(waits: Waits | None) -> list[str]:
    if not waits:
        return []
    marked = (
        f"{uuid}{'+' if uuid in waits.running else ''}={waits.held[uuid]:.3f}" for uuid in sorted(waits.held)
    )
    return [f"{waits.since:.3f}", f"{waits.asked:.3f}", *marked]


def _waits(words: list[str]) -> Waits | None:
    try:
        since, asked, *marked = words
        times = float(since), float(asked)
        held = {uuid: float(moment) for uuid, _, moment in (word.partition("=") for word in marked)}
        # else it is damaged, or the clock was set back
        if not all(0 <= moment <= time.time() for moment in (*times, *held.values())):
            return None
        return Waits(
            *times,
            {uuid.rstrip("+"): moment for uuid, moment in held.items()},
            frozenset(uuid[:-1] for uuid in held if uuid.endswith("+")),
        )
    except ValueError:
        return None
