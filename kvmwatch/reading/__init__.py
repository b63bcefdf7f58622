"""Reading libvirt and /proc. The rest of the house asks for it through :mod:`kvmwatch.reading.collect` alone."""

import os
import sys

try:
    import libvirt  # noqa: F401
except ImportError as error:
    # A command has not begun yet, and would end with Python's code 1, which is WARNING for who runs it.
    _command = os.path.basename(sys.argv[0])
    if not _command.startswith(("check_kvm_", "nagios_kvm", "zabbix_kvm", "kvmwatch")):
        raise
    _why = f"Python cannot use libvirt: {error}; install python3-libvirt for {sys.executable}"
    if _command.startswith("check_"):
        print(f"{_command.partition('_')[2].upper()} UNKNOWN - {_why}")
    else:
        print(f"{_command}: {_why}", file=sys.stderr)
    sys.exit(3)
