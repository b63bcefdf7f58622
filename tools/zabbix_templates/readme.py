"""The README of a template, in the layout of Zabbix's own."""

from __future__ import annotations

from collections.abc import Iterable

from zabbix_templates.model import Item, Template, Trigger

_TYPES = {
    **{"DEPENDENT": "Dependent item", "CALCULATED": "Calculated", "TRAP": "Zabbix trapper"},
    **{"ZABBIX_PASSIVE": "Zabbix agent", "ZABBIX_ACTIVE": "Zabbix agent (active)", "EXTERNAL": "External check"},
}


def render(template: Template) -> str:
    """Give the page as Markdown."""
    parts = [
        f"# {template.name}\n\n",
        "Made by `make templates`; do not edit.\n\n",
        f"## Overview\n\n{template.description}\n\nFor Zabbix 6.0 and later.\n\n",
        f"## Setup\n\n{template.setup}\n",
        "## Macros used\n\nEach threshold takes a context, so that one VM, disk or pool can have its own: "
        '`{$KVM.VM.CPU.MAX:"batch1"}`.\n\n' if "Guest" not in template.name else "## Macros used\n\n",
        _table(("Name", "Description", "Default"), ((f"`{m.name}`", m.description, f"`{m.value}`") for m in sorted(template.macros))),
        "\n## Items\n\n",
        _items(template.items),
        "\n## Triggers\n\n",
        _triggers(template.triggers),
    ]  # fmt: skip
    for rule in template.rules:
        parts.append(f"\n## LLD rule: {rule.name}\n\n{rule.description}\n\nKey: `{rule.key}`\n")
        if rule.items:
            parts.append(f"\n### Item prototypes for {rule.name}\n\n{_items(rule.items)}")
        if rule.triggers:
            parts.append(f"\n### Trigger prototypes for {rule.name}\n\n{_triggers(rule.triggers)}")
        for host in rule.hosts:
            parts.append(
                f"\n### Host prototype\n\n`{host.host}`, shown as `{host.name}`, with template {host.template}\n"
            )
    return "".join(parts)


def _items(items: Iterable[Item]) -> str:
    rows = (
        (item.name, item.description, _TYPES[item.type], f"`{item.key}`", item.units.lstrip("!")) for item in items
    )
    return _table(("Name", "Description", "Type", "Key", "Unit"), rows)


def _triggers(triggers: Iterable[Trigger]) -> str:
    rows = (
        (
            trigger.name,
            f"{trigger.meaning} **Do:** {trigger.cure}",
            f"`{trigger.expression.replace('/T/', '//')}`",
            trigger.severity.capitalize(),
            "Depends on: " + ", ".join(trigger.depends) if trigger.depends else "",
        )
        for trigger in triggers
    )
    return _table(("Name", "What it means and what to do", "Expression", "Severity", "Dependencies"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
