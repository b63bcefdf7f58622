"""Our commands as other users of the lab find them: in a CI's clone the checkout may lie where they cannot look."""

from __future__ import annotations

from pathlib import Path

import inside

CHECKOUT = Path(__file__).parents[2]
_COPY = inside.WORK / "checkout"


def checkout() -> Path:
    """The checkout, bound to a place that everybody can read."""
    if not _COPY.exists():
        _COPY.mkdir()
        inside.mount("--bind", CHECKOUT, _COPY)
    return _COPY


def environment() -> dict[str, str]:
    """What Python needs to find our packages there."""
    place = checkout()
    return {"PYTHONPATH": f"{place}:{place}/checks:{place}/terminal:{place}/exporters:{place}/zabbix"}


def commands(folder: Path, state: Path | None = None) -> None:
    """Make every command of ours a program in a folder; ``state`` is where they keep counters."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = environment() | ({"KVMWATCH_STATE_DIR": str(state)} if state else {})
    exports = " ".join(f"{name}={value}" for name, value in settings.items())
    for name, module in scripts().items():
        program = folder / name
        program.write_text(
            f'#!/bin/sh\nexec env {exports} {checkout()}/.venv/bin/python -c "from {module} import main; main()" "$@"\n'
        )
        program.chmod(0o755)


def scripts() -> dict[str, str]:
    """The commands of pyproject.toml, to their modules."""
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    lines = text.split("[project.scripts]\n")[1].split("\n\n")[0].splitlines()
    pairs = (line.split(" = ") for line in lines)
    return {name: target.strip('"').removesuffix(":main") for name, target in pairs}
