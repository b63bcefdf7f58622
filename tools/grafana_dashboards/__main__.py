"""Write templates/grafana/; tests/unit/test_grafana_dashboards.py tells whether it is up to date."""

import sys

from grafana_dashboards.files import FOLDER, files

for path, text in files().items():
    (FOLDER / path).write_text(text, encoding="utf-8")
    print(f"templates/grafana/{path}", file=sys.stderr)
