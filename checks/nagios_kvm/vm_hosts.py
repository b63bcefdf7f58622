"""Hosts of VMs' own in the monitoring system: ``--vm-host '{name}'`` puts a VM's services there.

They stay there when the VM moves to another hypervisor, with their history, acknowledgements and downtimes.
"""

from __future__ import annotations

import argparse
import re
from typing import NamedTuple

from kvmwatch.model.snapshot import Domain
from nagios_kvm.names import HOST_ESCAPE, ILLEGAL, encode

_FIELD = re.compile(r"\{(name|uuid)\}")
#: to Nagios that is no name at all
_NULL, _NOT_NULL = "null", f"{HOST_ESCAPE}6E.ull"


class VmHost(NamedTuple):
    """How a VM's host is called: a pattern with ``{name}`` or ``{uuid}``, so that no two VMs have the same."""

    pattern: str

    @classmethod
    def parse(cls, text: str) -> VmHost:
        """Read the option. Raises ArgumentTypeError."""
        constant = _FIELD.sub("", text)
        if constant == text:
            raise argparse.ArgumentTypeError(f"{text!r}: use {{name}} or {{uuid}} in it, or all VMs were one host")
        if set(constant) & (ILLEGAL | set("+{}")) or not text.isprintable() or text != text.strip():
            raise argparse.ArgumentTypeError(f"{text!r} makes no names of hosts; use for instance {{name}}")
        return cls(text)

    def of(self, domain: Domain) -> str:
        """The host of a VM; what is illegal in its name is escaped (:func:`~nagios_kvm.names.encode`)."""
        values = {"name": encode(domain.name, HOST_ESCAPE), "uuid": domain.uuid}
        host = _FIELD.sub(lambda field: values[field[1]], self.pattern)
        return _NOT_NULL if host == _NULL else host
