"""Write checks/{nagios,nrpe,icinga2}/; tests/unit/test_definitions.py tells whether they are up to date."""

import sys

from nagios_definitions.files import CHECKS, files

for path, text in files().items():
    (CHECKS / path).write_text(text, encoding="utf-8")
    print(f"checks/{path}", file=sys.stderr)
