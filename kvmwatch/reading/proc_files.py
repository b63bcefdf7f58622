"""Reading files of the kernel, which are read again and again: /proc, and control groups."""

from __future__ import annotations

import os

_PIECE = 16384  # bytes that are read at once


def content(file: str) -> bytes:
    """All of a file. Raises OSError."""
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)  # open() asks the kernel for more than that
    try:
        text = piece = os.read(opened, _PIECE)
        while piece:
            piece = os.read(opened, _PIECE)
            text += piece
    finally:
        os.close(opened)
    return text
