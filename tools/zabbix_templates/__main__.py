"""Write templates/; tests/unit/test_templates.py tells whether it is up to date."""

import sys
from pathlib import Path

from zabbix_templates import export, readme
from zabbix_templates.all import templates

FOLDER = Path(__file__).parents[2] / "templates"

for template in templates():
    folder = FOLDER / template.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.xml").write_text(export.xml(template), encoding="utf-8")
    (folder / "README.md").write_text(readme.render(template), encoding="utf-8")
    print(folder.relative_to(FOLDER.parent), file=sys.stderr)
