"""Output of commands that run for long: all of it, to whoever reads; and none waits for ever for who does not."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from kvmwatch.command.telling import tell
from kvmwatch.model.errors import KvmwatchError

TEXT = "é€" * 100_000  # more than a pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end that reads, and the one that writes."""
    out, end = os.pipe()
    with open(end, "w", encoding="utf-8") as stream:
        yield out, stream


def test_a_slow_reader_gets_all(pipe: tuple[int, TextIO]) -> None:
    out, stream = pipe
    pieces: list[bytes] = []

    def read() -> None:
        while piece := os.read(out, 777):
            pieces.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    assert tell(TEXT, stream)
    stream.close()
    thread.join()
    assert b"".join(pieces).decode() == TEXT


def test_who_does_not_read_is_not_waited_for(pipe: tuple[int, TextIO]) -> None:
    out, stream = pipe
    with pytest.raises(KvmwatchError, match=r"^nobody has read the output for 0\.05 s$"):
        tell(TEXT, stream, patience=0.05)
    with pytest.raises(KvmwatchError, match=r"^nobody has read"):
        tell("more", stream, patience=0)
    os.close(out)


def test_who_has_gone_reads_no_more(pipe: tuple[int, TextIO]) -> None:
    out, stream = pipe
    os.close(out)
    assert not tell("", None), "it was closed from the start"
    assert not tell("more", stream)


def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "w", encoding="utf-8") as stream, pytest.raises(KvmwatchError, match="No space left"):
        tell("more", stream)


def test_a_file_takes_all(tmp_path: Path) -> None:
    with open(tmp_path / "out", "w", encoding="utf-8") as stream:
        assert tell(TEXT, stream)
    assert (tmp_path / "out").read_text(encoding="utf-8") == TEXT
