"""What a check says of a snapshot, with its defaults."""

from __future__ import annotations

from check_kvm.frame import output, plugin
from check_kvm.frame.judging import all_checks
from check_kvm.frame.siteconfig import SiteConfig

from kvmwatch.model.snapshot import Snapshot

OK, WARNING, CRITICAL, UNKNOWN = range(4)


def judged(name: str, snapshot: Snapshot) -> tuple[str, int]:
    """The output of a check with its long lines, and its exit code."""
    (check,) = (check for check in all_checks() if check.name == name)
    thresholds = plugin.checked_thresholds(check, SiteConfig())
    return output.render(name, plugin.judged(check, snapshot, thresholds), output.Style(verbose=1))
