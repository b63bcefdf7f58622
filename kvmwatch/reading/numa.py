"""The NUMA nodes of this machine: memory is near to some CPUs, and a VM that fits into none is slower."""

from __future__ import annotations

from pathlib import Path

from kvmwatch.model.metrics import NodeStats
from kvmwatch.model.snapshot import NumaNode

_KIB = 1024


def nodes(sys: Path) -> tuple[NumaNode, ...]:
    """The nodes by number, also without memory or CPUs; none where they are not told. Raises ValueError."""
    folders = (sys / "devices/system/node").glob("node[0-9]*")
    return tuple(sorted(map(_node, folders), key=lambda node: node.number))


def _node(folder: Path) -> NumaNode:
    number = int(folder.name[len("node") :])
    try:
        return _read(folder, number)
    except OSError:  # in a container, or it goes offline just now
        return NumaNode(number, None, NodeStats())


def _read(folder: Path, number: int) -> NumaNode:
    # "Node 0 MemTotal:  9398488 kB"
    lines = (line.split() for line in (folder / "meminfo").read_text(encoding="ascii").splitlines())
    memory = {words[2]: int(words[3]) * _KIB for words in lines if words[-1] == "kB"}
    total, free = 0, 0
    for pages in (folder / "hugepages").glob("hugepages-*kB"):
        size = int(pages.name[len("hugepages-") : -len("kB")]) * _KIB
        total += size * int((pages / "nr_hugepages").read_text(encoding="ascii"))
        free += size * int((pages / "free_hugepages").read_text(encoding="ascii"))
    return NumaNode(
        number,
        (folder / "cpulist").read_text(encoding="ascii").strip(),
        NodeStats(memory.get("MemTotal:"), memory.get("MemFree:"), total, free),
    )
