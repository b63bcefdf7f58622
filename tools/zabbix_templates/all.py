"""All templates, in the order in which they are to be imported."""

from __future__ import annotations

from functools import cache

from zabbix_templates import guest, hypervisor
from zabbix_templates.model import Template


@cache
def templates() -> tuple[Template, ...]:
    """The guest first: the hypervisor's host prototype links it."""
    return (guest.template(), *hypervisor.templates())
