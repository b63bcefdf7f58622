"""Imports all that a reading needs, whatever it meets, before it is needed: half of what a reading would take."""

import check_kvm

import kvmwatch
import kvmwatch_exporters
from kvmwatch.command import apart

apart.import_all(kvmwatch, check_kvm, kvmwatch_exporters, but=__name__)
