"""Write templates/prometheus/; tests/unit/test_prometheus_rules.py tells whether it is up to date."""

import sys

from prometheus_rules.files import FOLDER, files

for path, text in files().items():
    (FOLDER / path).write_text(text, encoding="utf-8")
    print(f"templates/prometheus/{path}", file=sys.stderr)
