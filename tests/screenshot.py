"""A picture of what a terminal shows, for the README: "make picture-top" writes docs/pictures/top.svg.

It is the real screen of *kvmwatch top* at work on the example hypervisor, in namespaces of its own in which this machine
is called kvm1. It needs neither root nor a daemon.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from commands import Command
from pages import ROOT
from terminals import Terminal, terminal

PICTURE = ROOT / "docs" / "pictures" / "top.svg"
HEIGHT, WIDTH = 18, 138
_SECONDS = 8.0  # of watching, so that rates are those of an interval

_CELL_WIDTH, _CELL_HEIGHT, _BASELINE, _MARGIN = 8, 18, 13, 8
#: pyte's names of the colours, brown is the terminal's yellow
_COLOURS = {
    **{"red": "#ff7b72", "brown": "#e3b341", "magenta": "#d2a8ff", "cyan": "#76e3ea", "green": "#7ee787"},
    **{"blue": "#79c0ff", "black": "#0d1117", "white": "#c9d1d9"},
}
_FOREGROUND, _BACKGROUND = "#c9d1d9", "#0d1117"
_UNSHARE = ("/usr/bin/unshare", "--user", "--map-root-user", "--mount", "--uts")
_ALONE = (
    'text=$(cat "$1"); hostname kvm1; mount -t tmpfs tmpfs /mnt; printf \'%s\' "$text" > /mnt/hypervisor.xml;'
    ' exec "$2" top -u test:///mnt/hypervisor.xml -d 2'
)


class Style(NamedTuple):
    """How a cell of the terminal looks."""

    foreground: str
    background: str
    bold: bool
    underlined: bool


def can_be_taken() -> bool:
    """Whether this machine allows such namespaces."""
    return not subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode


def take(seconds: float = _SECONDS) -> str:
    """Give the picture of the screen after so many seconds, as SVG."""
    with tempfile.TemporaryDirectory() as state:
        command = Command(Path(state))
        words = (
            "sh",
            "-c",
            _ALONE,
            "sh",
            str(ROOT / "examples" / "hypervisor.xml"),
            str(command.bin / "kvmwatch"),
        )
        with terminal(command, HEIGHT, WIDTH, *_UNSHARE, *words, TZ="UTC") as shown:
            shown.until(lambda: "web1" in shown.text)
            shown.read(seconds)
            made = svg(shown)
            shown.press("q")
            shown.ended()
            return made


def svg(shown: Terminal) -> str:
    """The screen of a terminal as SVG: a text for each run of cells that look alike."""
    width, height = WIDTH * _CELL_WIDTH + 2 * _MARGIN, HEIGHT * _CELL_HEIGHT + 2 * _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-size="13"'
        ' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace">',
        f'<rect width="{width}" height="{height}" rx="6" fill="{_BACKGROUND}"/>',
    ]
    for y in range(HEIGHT):
        for x, text, style in runs(shown, y):
            lines += _run(_MARGIN + x * _CELL_WIDTH, _MARGIN + y * _CELL_HEIGHT, text, style)
    return "\n".join([*lines, "</svg>", ""])


def runs(shown: Terminal, y: int) -> Iterator[tuple[int, str, Style]]:
    """Where each run of cells of a line that look alike begins, its text, and how it looks."""
    cells = ((x, shown.cell(y, x)) for x in range(WIDTH))
    for style, alike in itertools.groupby(cells, key=lambda each: _style(each[1])):
        first, *others = alike
        yield first[0], "".join(cell.data for _, cell in (first, *others)), style


def _style(cell: Any) -> Style:
    foreground, background = _COLOURS.get(cell.fg, _FOREGROUND), _COLOURS.get(cell.bg, _BACKGROUND)
    if cell.reverse:
        foreground, background = background, foreground
    return Style(foreground, background, cell.bold, cell.underscore)


def _run(x: int, y: int, text: str, style: Style) -> Iterator[str]:
    if style.background != _BACKGROUND:
        yield (
            f'<rect x="{x}" y="{y}" width="{len(text) * _CELL_WIDTH}" height="{_CELL_HEIGHT}"'
            f' fill="{style.background}"/>'
        )
    blank = len(text) - len(text.lstrip())
    text = text.strip()
    if text:
        how = ' font-weight="bold"' if style.bold else ""
        how += ' text-decoration="underline"' if style.underlined else ""
        yield (
            f'<text x="{x + blank * _CELL_WIDTH}" y="{y + _BASELINE}" textLength="{len(text) * _CELL_WIDTH}"'
            f' fill="{style.foreground}"{how} xml:space="preserve">{escape(text)}</text>'
        )


if __name__ == "__main__":
    PICTURE.write_text(take(), encoding="utf-8")
    print(PICTURE.relative_to(ROOT))
