"""How one gets onto the screen or the serial console of a domain, by its XML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional
from xml.etree.ElementTree import Element

from kvmwatch.model.snapshot import Console
from kvmwatch.model.text import readable

_LONGEST = 255  # characters of an address, a path
_NOWHERE = ("null", "stdio", "vc")  # ways of a console that lead to nobody


def graphics(devices: Element) -> Iterator[Console]:
    """Every place at which a screen is to be had; one that only the machine itself draws has none."""
    for element in devices.findall("graphics"):
        kind = _text(element, "type") or ""
        port, tls_port = _port(element, "port"), _port(element, "tlsPort")
        for listen in element.findall("listen") or [element]:
            path = _text(listen, "socket") or _text(element, "socket")
            address = _text(listen, "address") or _text(element, "listen")
            if path:
                yield Console(kind, "socket", path=path)
            elif port or tls_port:
                way = "address" if listen is element else _text(listen, "type") or "address"
                yield Console(kind, way, address, port, tls_port)


def serial(devices: Element) -> Iterator[Console]:
    """The serial ports, and consoles that are none of them; what virsh console opens by itself has no device."""
    ports = devices.findall("serial")
    all_consoles = devices.findall("console")
    # the first console of most domains is their first serial port once more
    others = [element for element in all_consoles if _target(element) != "serial"]
    first = next(iter(all_consoles), None)
    opened = first if first is not None and first in others else next(iter(ports), None)
    for element in (*ports, *others):
        kind = "serial" if element.tag == "serial" else _target(element) or "console"
        way = _text(element, "type") or ""
        if way in _NOWHERE:
            continue
        sources = element.findall("source") or [Element("source")]
        source = next((source for source in sources if source.get("mode") == "bind"), sources[0])
        alias = element.find("alias")
        yield Console(
            kind,
            way,
            _text(source, "host"),
            _text(source, "service"),
            path=_text(source, "path") or _text(element, "tty"),
            device=None if element is opened or alias is None else _text(alias, "name"),
        )


def _target(element: Element) -> Optional[str]:
    target = element.find("target")
    return None if target is None else _text(target, "type")


def _port(element: Element, name: str) -> Optional[str]:
    """A port that there is: until it runs, one that is chosen then is -1."""
    text = element.get(name) or ""
    return text if text.isdecimal() and int(text) else None


def _text(element: Element, name: str) -> Optional[str]:
    text = element.get(name)
    return readable(text, _LONGEST) if text else None
