"""Hosts of VMs that no hypervisor has any more: marked, then disabled, then deleted, each after its time.

The mark is a tag with the time since when the VM is missing, so that everybody sees it, and whichever machine runs
this next knows it. One collection that misses a VM is no proof: it takes a newer one, and time.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import NamedTuple, Optional

from zabbix_kvm.api import Api, Record
from zabbix_kvm.changes import Change, Changes

MARK = "kvmwatch-vm-missing-since"

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_ENABLED, _DISABLED = "0", 1
_DAY = 86400


class Patience(NamedTuple):
    """For how long a VM is missing until its host is disabled, and deleted; in seconds."""

    disable: float = 900.0
    delete: float = 30.0 * _DAY


class Gone:
    """What becomes of the hosts of missing VMs."""

    def __init__(self, changes: Changes, collected: dict[str, int], patience: Patience) -> None:
        """``collected``: group of a hypervisor's guests to the time of its newest collection."""
        self._changes = changes
        self._collected = collected
        self._patience = patience

    def settle(self, hosts: list[Record]) -> None:
        """Mark, disable or delete these hosts."""
        marks, disabled, deleted = [], [], []
        for host in hosts:
            newest = self._newest(host)
            since = missing_since(host)
            text = f"host {host['name']} ({host['host']})"
            number = {"hostid": host["hostid"]}
            if since is None:
                tags = [tag for tag in Api.tags_of(host) if tag["tag"] != MARK]
                when = datetime.fromtimestamp(newest or time.time(), timezone.utc).strftime(_FORMAT)
                what = f"mark {text}: no hypervisor has its VM any more"
                marks.append(Change(what, {**number, "tags": [*tags, {"tag": MARK, "value": when}]}))
            elif host["status"] != _ENABLED and newest - since >= self._patience.delete:
                deleted.append((f"delete {text}: its VM is missing since {_when(host)}", str(host["hostid"])))
            elif host["status"] == _ENABLED and newest > since and newest - since >= self._patience.disable:
                what = f"disable {text}: its VM is missing since {_when(host)}"
                disabled.append(Change(what, {**number, "status": _DISABLED}))
        self._changes.each("host.update", [*marks, *disabled])
        for what, host_number in deleted:
            self._changes.attempt(what, "host.delete", host_number)

    def _newest(self, host: Record) -> int:
        """The newest time for which its last hypervisor is known not to have it; 0: it was not read yet."""
        groups = [group["name"] for group in Api.groups_in(host)]
        known = [self._collected[group] for group in groups if group in self._collected]
        return max(known) if known else int(time.time())


def missing_since(host: Record) -> Optional[int]:
    """Unix time of a host's mark; None when it has none that can be read."""
    when = _when(host)
    try:
        return int(datetime.strptime(when, _FORMAT).replace(tzinfo=timezone.utc).timestamp()) if when else None
    except ValueError:
        return None


def _when(host: Record) -> str:
    return next((str(tag["value"]) for tag in host["tags"] if tag["tag"] == MARK), "")
