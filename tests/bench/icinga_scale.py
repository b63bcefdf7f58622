"""How long it takes to publish a hypervisor with 500 VMs to a real Icinga 2: "make bench-icinga".

The VMs are those of libvirt's test driver: nothing of libvirt is measured here, only what is judged, sent and taken.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter

import inside
from commands import Command
from icinga import API, CA, Icinga
from monitor import BIG_CHECKS
from running import running
from testdriver import node

HOST = "big1"
ROUNDS = 3  # the first takes a second sample for the rates
TARGET = 10.0  # seconds, for 500 VMs with five checks each


def main() -> None:
    """Measure, and print a line per run."""
    if os.environ.get("KVMWATCH_LAB_MISSING"):
        sys.exit(os.environ["KVMWATCH_LAB_MISSING"])
    count = int(os.environ.get("VMS", "500"))
    file = inside.WORK / "big.xml"
    file.write_text(node((f"vm{number:04}" for number in range(count)), states=7))
    kvm = Command(inside.WORK / "state")
    hypervisor = ("--host", HOST, "-u", f"test://{file}", *BIG_CHECKS)
    site = Icinga()
    config = kvm("nagios_kvm", "config", "--format", "icinga2", *hypervisor, "-t", "60")
    site.write(f"conf.d/{HOST}.conf", config.out)
    site.write("conf.d/site.conf", f'object Host "{HOST}" {{ import "generic-host"; import "kvmwatch-{HOST}" }}\n')
    with running(site):
        times = [publish(site, kvm, hypervisor) for _ in range(ROUNDS)]
        states = Counter(site.states(HOST).values())
    met = "met" if max(times) * 500 <= TARGET * count else "MISSED"
    print(f"{count} VMs: {max(times):.1f} s at most, target {TARGET:g} s for 500 {met}; {dict(states)}")


def publish(site: Icinga, kvm: Command, hypervisor: tuple[str, ...]) -> float:
    """Publish once, print what is said of it, and give how long it took."""
    begun = time.monotonic()
    to = ("--to", API, "--credentials", str(site.credentials), "--ca-file", str(CA), "-t", "50")
    ran = kvm("nagios_kvm", "publish", *hypervisor, *to, timeout=120)
    took = time.monotonic() - begun
    print(f"{took:5.1f} s: {ran.out.strip() or ran.err.strip()}", flush=True)
    return took


if __name__ == "__main__":
    main()
