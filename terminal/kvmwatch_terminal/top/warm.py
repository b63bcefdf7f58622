"""Imports all that a reading needs, whatever it meets, before it is needed: half of what a reading would take."""

import check_kvm

import kvmwatch
import kvmwatch_terminal.show
import kvmwatch_terminal.top.taking  # noqa: F401
from kvmwatch.command import apart

apart.import_all(kvmwatch, check_kvm)
