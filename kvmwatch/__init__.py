"""kvmwatch: reads a KVM hypervisor once and gives a typed snapshot of it."""

import os

__version__ = "0.1.0"

# libvirt's drivers that live in our process (test, remote) log warnings to stderr, for instance when the machine's
# own name does not resolve; their errors reach us as exceptions. libvirt reads this when it is imported.
if not os.environ.keys() & {"LIBVIRT_DEBUG", "LIBVIRT_LOG_OUTPUTS"}:
    os.environ["LIBVIRT_LOG_OUTPUTS"] = "4:file:/dev/null"
