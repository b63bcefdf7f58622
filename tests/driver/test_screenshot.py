"""The README's picture of kvmwatch top is of the screen as it is today: its columns, views and VMs."""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree

import pytest
import screenshot
from test_kvmwatch_list import NAMES


def lines(svg: str) -> list[str]:
    """The texts of a picture, line by line, with a blank between words."""
    by_line: dict[int, list[str]] = defaultdict(list)
    for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        by_line[int(text.attrib["y"])].append(text.text or "")
    return [" ".join(" ".join(texts).split()) for _, texts in sorted(by_line.items())]


@pytest.mark.skipif(not screenshot.can_be_taken(), reason="this machine allows no new namespaces")
def test_the_picture_is_of_the_screen_of_today() -> None:
    held = lines(screenshot.PICTURE.read_text(encoding="utf-8"))
    now = lines(screenshot.take(seconds=0))

    def steady(of: list[str]) -> list[object]:
        """What hangs neither on the clock nor on which of two equal VMs is first."""
        (head,) = (number for number, line in enumerate(of) if line.startswith("NAME"))
        return [of[head], of[-1], sorted(line.split()[0] for line in of[head + 1 : -1])]

    assert steady(held) == steady(now), "run 'make picture-top'"
    assert len(now) > len(NAMES)


def test_the_picture_tells_nothing_of_the_machine_it_was_taken_on() -> None:
    assert "kvm1 (test:///mnt/hypervisor.xml)" in " ".join(lines(screenshot.PICTURE.read_text(encoding="utf-8")))
