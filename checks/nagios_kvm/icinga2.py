"""A host template for Icinga 2 that lists the VMs; the apply rules of checks/icinga2/ make the services of it.

Import it into the hypervisor's host: ``import "kvmwatch-kvm1"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nagios_kvm.definitions import Site, in_macro
from nagios_kvm.names import encode
from nagios_kvm.services import Service

#: the line of each VM in such a file
ENTRY = re.compile(r"^ *vars\.kvm_domains\[", re.MULTILINE)


def render(site: Site, services: Iterable[Service]) -> str:
    """Give the file."""
    listed = list(services)
    checks = {service.check.name: None for service in listed}
    domains = {service.domain.uuid: service.domain for service in listed if service.domain}
    lines = [f"// {line}" for line in site.heading]
    lines += [
        f"template Host {_string(f'kvmwatch-{site.host}')} {{",
        '  import "kvm-hypervisor"',
        f"  vars.kvm_checks = [ {', '.join(map(_string, checks))} ]",
        f"  vars.kvm_passive = {'false' if site.active else 'true'}",
        f"  vars.kvm_stale_after = {site.stale_after}",
    ]
    if site.uri:
        lines.append(f"  vars.kvm_uri = {_string(in_macro(site.uri))}")
    for domain in domains.values():
        lines.append(
            f"  vars.kvm_domains[{_string(encode(domain.name))}] = "
            f"{{ uuid = {_string(domain.uuid)}, name = {_string(domain.name)} }}"
        )
    return "\n".join([*lines, "}", ""])


def _string(text: str) -> str:
    """A string literal of Icinga's language.

    ASCII's control characters are octal escapes, which have three digits; all else it takes as it is (UTF-8).
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(f"\\{ord(c):03o}" if c < " " or c == "\x7f" else c for c in escaped) + '"'
