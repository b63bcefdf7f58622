"""What the checks take of nagiosplugin: states, ranges and performance data.

The package imports all of its modules, and with them logging, tempfile and a dozen others, for which a check
would take a tenth longer. So these three are imported as if its ``__init__`` were empty.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec


@contextmanager
def _without_init(package: str) -> Iterator[None]:
    """Import modules of a package without running its own ``__init__``; afterwards that is there as ever."""
    spec = find_spec(package)
    if spec is None or package in sys.modules:
        yield
        return
    sys.modules[package] = module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[package]


with _without_init("nagiosplugin"):
    from nagiosplugin.performance import Performance
    from nagiosplugin.range import Range
    from nagiosplugin.state import Critical, Ok, ServiceState, Unknown, Warn

__all__ = ["Critical", "Ok", "Performance", "Range", "ServiceState", "Unknown", "Warn"]
