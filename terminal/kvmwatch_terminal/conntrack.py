"""The connections of some addresses, as this host's connection tracking has them (/proc, else conntrack -L).

Only root may see them. Their bytes are counted where the kernel is told to, from the connections that begin then.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from kvmwatch.command import programs
from kvmwatch.model.errors import DeadlineExceeded, KvmwatchError
from kvmwatch.model.text import readable
from kvmwatch.reading.deadline import Deadline

TABLE = Path("/proc/net/nf_conntrack")
ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
BRIDGED = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
OF_BRIDGE = "/sys/class/net/{}/bridge/nf_call_iptables"

PROGRAM = ("conntrack", "-L", "-o", "extended")
_MOST = 64 << 20  # bytes; a quarter of a million connections
_PIECE = 1 << 20
_LONGEST = 300  # characters of what the program says

#: of a line: what tells one connection from another
_IDENTITY = ("src", "dst", "sport", "dport", "type", "code", "id", "srckey", "dstkey")

Key = tuple[str, ...]


class Flow(NamedTuple):
    """One connection as one of the addresses sees it, bytes since it began (None: they are not counted)."""

    address: str
    peer: str  # whom it has to do with; behind NAT of this host, as the address sees it
    service: str  # tcp/443: of the side that did not begin it
    rx: int | None
    tx: int | None


class Flows(NamedTuple):
    """What was found; ``cut``: there are more connections than could be looked at."""

    found: dict[Key, Flow]
    cut: bool = False


def accounted() -> bool | None:
    """Whether bytes of new connections are counted; None: connections are not tracked at all."""
    return _switch(ACCOUNTING)


def bridged(bridge: str) -> bool:
    """Whether what this bridge passes from port to port is tracked."""
    return bool(_switch(BRIDGED) or _switch(Path(OF_BRIDGE.format(bridge))))


def read(addresses: Collection[str], deadline: Deadline) -> Flows:
    """Read the connections of these addresses. Raises KvmwatchError."""
    forms = {form: address for address in addresses for form in _forms(address)}
    try:
        with TABLE.open("rb") as file:
            return _flows(_pieces(file, deadline), forms)
    except FileNotFoundError:  # not every kernel has it
        pass
    except PermissionError:
        raise KvmwatchError("only root may see connections; run it with sudo") from None
    except OSError as error:
        raise KvmwatchError(f"{TABLE}: {error.strerror}") from None
    said, cut = _said(deadline)
    flows = _flows(_pieces(io.BytesIO(said), deadline), forms)
    return flows._replace(cut=cut or flows.cut)


def _said(deadline: Deadline) -> tuple[bytes, bool]:
    try:
        # its summary, which it writes to stderr, would stand in the middle of a line
        ran = programs.run(PROGRAM, deadline, limit=_MOST, errors=False)
        if ran.code:
            ran = programs.run(PROGRAM, deadline, limit=_MOST)
    except FileNotFoundError:
        raise KvmwatchError(f"this kernel has no {TABLE}; install conntrack") from None
    except OSError as error:
        raise KvmwatchError(f"conntrack cannot be run: {error.strerror}") from None
    except DeadlineExceeded as error:
        raise KvmwatchError(f"conntrack: {error}") from None
    if ran.code:
        raise KvmwatchError(f"conntrack failed: {readable(ran.said.strip(), _LONGEST)}; run it as root")
    return ran.said.encode(), ran.cut


def _pieces(file: io.BufferedIOBase | io.BufferedReader, deadline: Deadline) -> Iterator[list[bytes]]:
    """Whole lines, an empty list last where there are more than there is time or room for."""
    size = 0
    while lines := file.readlines(_PIECE):
        size += sum(map(len, lines))
        if size > _MOST or not deadline.remaining():
            yield []
            return
        yield lines


def _flows(pieces: Iterable[list[bytes]], forms: Mapping[str, str]) -> Flows:
    needles = [f"src={form} ".encode() for form in forms]
    found: dict[Key, Flow] = {}
    for lines in pieces:
        if not lines:
            return Flows(found, cut=True)
        for line in lines:
            if any(needle in line for needle in needles):
                found.update(_flow(line.decode("ascii", "replace"), forms))
    return Flows(found)


def _flow(line: str, forms: Mapping[str, str]) -> Iterator[tuple[Key, Flow]]:
    """The connection of a line; none where neither end of it is one of the addresses."""
    words = line.split()
    begun: dict[str, str] = {}  # as who began it sees it
    answered: dict[str, str] = {}  # as the other end does
    for word in words:
        name, _, value = word.partition("=")
        if value:
            (answered if "src" in answered or (name == "src" and "src" in begun) else begun)[name] = value
    if len(words) < 3 or "dst" not in begun or "dst" not in answered:
        return  # what the program says of itself
    protocol = words[2]
    key = (protocol, answered.get("zone", ""), *(begun.get(name, "") for name in _IDENTITY))
    sent, replied = _number(begun.get("bytes")), _number(answered.get("bytes"))
    if begun["src"] in forms:
        service = _service(protocol, begun.get("dport"))
        yield key, Flow(forms[begun["src"]], _plain(begun["dst"]), service, rx=replied, tx=sent)
    elif answered["src"] in forms:
        service = _service(protocol, answered.get("sport"))
        yield key, Flow(forms[answered["src"]], _plain(answered["dst"]), service, rx=sent, tx=replied)


def _service(protocol: str, port: str | None) -> str:
    return f"{protocol}/{port}" if port else protocol


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _plain(text: str) -> str:
    """An address as people write it; the kernel writes every digit of one of IPv6."""
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _forms(address: str) -> tuple[str, ...]:
    parsed = ip_address(address)
    return (str(parsed), parsed.exploded)


def _switch(path: Path) -> bool | None:
    try:
        return path.read_text(encoding="ascii").strip() != "0"
    except OSError:
        return None
