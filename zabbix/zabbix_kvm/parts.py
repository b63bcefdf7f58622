"""What a template consists of in Zabbix, and which of it came from our files.

The UUID of a part of ours follows from its template, its kind and its name, so that a part that somebody added has
another one.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import NamedTuple

from zabbix_kvm.api import Api, Record


class Kind(NamedTuple):
    """A kind of parts: how it is called, asked for, and what its UUID is made of."""

    name: str
    method: str  # the API's: METHOD.get and METHOD.delete
    number: str
    title: str  # the field that names it
    sort: str  # what its UUID is made of, with the key of its rule, and its title
    of_rule: bool = False  # a prototype


#: in the order in which they can be deleted: what is made of others before those
KINDS = (
    Kind("trigger", "trigger", "triggerid", "description", "trigger"),
    Kind("trigger prototype", "triggerprototype", "triggerid", "description", "trigger", True),
    Kind("graph", "graph", "graphid", "name", "graph"),
    Kind("graph prototype", "graphprototype", "graphid", "name", "graph", True),
    Kind("host prototype", "hostprototype", "hostid", "host", "host", True),
    Kind("item prototype", "itemprototype", "itemid", "key_", "item", True),
    Kind("discovery rule", "discoveryrule", "itemid", "key_", "rule"),
    Kind("item", "item", "itemid", "key_", "item"),
    Kind("dashboard", "templatedashboard", "dashboardid", "name", "dashboard"),
    Kind("value map", "valuemap", "valuemapid", "name", "valuemap"),
)
#: kinds whose UUID has the key of a rule in it, which is empty for what is of none
_OF_RULES = ("trigger", "graph", "item")


class Part(NamedTuple):
    """A part of a template in Zabbix."""

    kind: str
    number: str
    name: str
    uuid: str
    path: tuple[str, ...]

    def is_ours(self, template: str) -> bool:
        """Whether it came from a file of ours, of whichever version."""
        return self.uuid == part_uuid(template, *self.path)


def part_uuid(*path: str) -> str:
    """The UUID of a part of ours: template, kind, key of the rule where the kind has one, name."""
    digest = hashlib.sha256("\0".join(("kvmwatch", *path)).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4).hex


def of_template(api: Api, template: str) -> list[Part]:
    """All parts of a template."""
    rules = [
        str(rule["itemid"]) for rule in api.call("discoveryrule.get", templateids=[template], output=["itemid"])
    ]
    return [_part(kind, record) for kind in KINDS for record in _records(api, kind, template, rules)]


def _records(api: Api, kind: Kind, template: str, rules: list[str]) -> list[Record]:
    asked: Record = {"output": [kind.number, kind.title, "uuid"]}
    if kind.of_rule:
        asked |= {"discoveryids": rules, "selectDiscoveryRule": ["key_"]}
    else:
        asked |= {"hostids" if kind.method == "valuemap" else "templateids": [template]}
    records: list[Record] = api.call(f"{kind.method}.get", **asked)
    return records


def _part(kind: Kind, record: Record) -> Part:
    rule = record["discoveryRule"]["key_"] if kind.of_rule else ""
    of_rule = (rule,) if kind.of_rule or kind.sort in _OF_RULES else ()
    name = str(record[kind.title])
    return Part(kind.name, str(record[kind.number]), name, str(record["uuid"]), (kind.sort, *of_rule, name))
