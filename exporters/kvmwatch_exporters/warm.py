"""Imports all that a reading needs, before it is needed."""

import gc

from check_kvm.frame import judging

from kvmwatch.command import history  # noqa: F401
from kvmwatch.model import lasting, rates, remembered  # noqa: F401
from kvmwatch.reading import collect  # noqa: F401
from kvmwatch_exporters import collectd, influx, prometheus, reading  # noqa: F401

judging.all_checks()
gc.freeze()
