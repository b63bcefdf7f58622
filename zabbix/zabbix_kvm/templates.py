"""Importing the templates: the newer ones only, and without losing what somebody added to them in Zabbix."""

from __future__ import annotations

import hashlib
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional
from xml.etree import ElementTree

from kvmwatch.model.errors import KvmwatchError
from zabbix_kvm import parts
from zabbix_kvm.api import Api, Record
from zabbix_kvm.changes import Changes

VERSION_MACRO = "{$KVM.TEMPLATE.VERSION}"

_INVENTORY_AUTOMATIC = "1"
_WITH_VENDOR = (6, 4)
_VERSION = re.compile(r"(?:(?P<version>\d[\w.+~]*) )?(?P<digest>[0-9a-f]{12})")
_DEFAULTS = re.compile(r"\bdefaults: ((?:[0-9a-f]{6})*)$")


class Version(NamedTuple):
    """Which kvmwatch a template came from, in an order, and which file exactly."""

    version: str  # empty: before templates told
    digest: str

    @property
    def order(self) -> tuple[int, ...]:
        """What is compared: 0.10.0 is newer than 0.9.1."""
        return tuple(map(int, re.findall(r"\d+", self.version)))

    @classmethod
    def read(cls, macro: str) -> Version | None:
        """Read the macro's value; None when it is not one of ours."""
        found = _VERSION.fullmatch(macro)
        return cls(found["version"] or "", found["digest"]) if found else None


class File(NamedTuple):
    """A template as its file has it."""

    name: str
    version: Version
    macros: dict[str, str]
    uuids: frozenset[str]
    text: str


class Installed(NamedTuple):
    """A template as Zabbix has it."""

    number: str
    version: Optional[Version]
    macros: dict[str, str]
    defaults: Optional[frozenset[str]]  # fingerprints of the macros as they were imported; None: not told


class Importer:
    """Imports templates. What could not be is among the ``failed`` of the changes."""

    def __init__(self, changes: Changes, replace: bool = False) -> None:
        """``replace``: also an older template in the place of a newer one."""
        self._changes = changes
        self._api: Api = changes.api
        self._replace = replace

    def all(self, folder: Path) -> None:
        """Import those that are missing, or of an older version, or of another file of the same version."""
        for path in template_files(folder):
            file = read(path)
            known = self._known(file.name)
            if known is None:
                self._import(file)
            elif known.version != file.version:
                self._update(file, known)
        self._guest_inventory()

    def _update(self, file: File, known: Installed) -> None:
        before = known.version or Version("", "")
        if file.version.order < before.order and not self._replace:
            self._changes.fail(
                f"{file.name} in Zabbix is of kvmwatch {before.version}, newer than {file.version.version} here, "
                "and stays; update the package here, or take the older one with --replace-templates"
            )
            return
        there = parts.of_template(self._api, known.number)
        gone = [part for part in there if part.uuid not in file.uuids]
        kept = [part for part in gone if not part.is_ours(file.name)]
        for part in kept:
            self._changes.note(f"{part.kind} {part.name!r}, which somebody added to {file.name}, stays")
        for kind in parts.KINDS:
            numbers = [part.number for part in gone if part.kind == kind.name and part not in kept]
            if numbers:
                what = f"remove {len(numbers)} of {file.name} that this version has not: {kind.name}"
                self._changes.make(what, f"{kind.method}.delete", *numbers)
        self._import(file)
        self._restore(file, known)
        left = {
            part.uuid for part in (there if self._changes.dry_run else parts.of_template(self._api, known.number))
        }
        for part in kept:
            if part.uuid not in left:
                self._changes.note(f"{part.kind} {part.name!r} of {file.name} went with what it was made of")

    def _import(self, file: File) -> None:
        self._changes.make(
            f"import {file.name}",
            "configuration.import",
            format="xml",
            source=file.text,
            rules=self._rules(),
        )
        if self._api.version >= _WITH_VENDOR and not self._changes.dry_run:
            known = self._known(file.name)
            assert known is not None, "it was imported just now"
            vendor = {"vendor_name": "kvmwatch", "vendor_version": file.version.version}
            self._api.call("template.update", templateid=known.number, **vendor)

    def _restore(self, file: File, known: Installed) -> None:
        """Give macros of the template back what somebody set them to: an import sets all to their defaults."""
        if known.defaults is None:
            for macro, value in known.macros.items():
                if macro != VERSION_MACRO and file.macros.get(macro) != value:
                    self._changes.note(
                        f"{macro} of {file.name} was {value!r}, now {file.macros.get(macro, 'gone')!r}"
                    )
            return
        own = {
            macro: value
            for macro, value in known.macros.items()
            if macro != VERSION_MACRO and fingerprint(macro, value) not in known.defaults
        }
        imported = {} if self._changes.dry_run else self._macros(known.number)
        for macro, value in own.items():
            if file.macros.get(macro) == value:
                continue
            what = f"keep {macro} = {value} of {file.name}"
            if macro in imported:
                number = imported[macro]["hostmacroid"]
                self._changes.make(what, "usermacro.update", hostmacroid=number, value=value)
            else:
                self._changes.make(what, "usermacro.create", hostid=known.number, macro=macro, value=value)

    def _known(self, name: str) -> Installed | None:
        found = self._api.call("template.get", filter={"host": name}, output=["templateid"])
        if not found:
            return None
        number = str(found[0]["templateid"])
        macros = self._macros(number)
        own = macros.get(VERSION_MACRO, {"value": "", "description": ""})
        defaults = _DEFAULTS.search(own["description"])
        return Installed(
            number,
            Version.read(own["value"]),
            {macro: record.get("value", "") for macro, record in macros.items()},
            frozenset(re.findall(".{6}", defaults[1])) if defaults else None,
        )

    def _macros(self, number: str) -> dict[str, Record]:
        found = self._api.call("usermacro.get", hostids=[number], output="extend")
        return {record["macro"]: record for record in found}

    def _rules(self) -> Record:
        # nothing is deleted by the import: it would not ask whose it is
        update = {"createMissing": True, "updateExisting": True}
        kinds = ("items", "triggers", "graphs", "discoveryRules", "valueMaps", "templateDashboards")
        groups = ("template_groups", "host_groups") if self._api.version >= (6, 2) else ("groups",)
        return {
            **dict.fromkeys(("templates", *kinds), update),
            **{part: {"createMissing": True, "updateExisting": False} for part in groups},
        }

    def _guest_inventory(self) -> None:
        # Format 6.0 has no inventory mode for host prototypes of templates, and without it a guest's host
        # could not tell its hypervisor.
        found = self._api.call(
            "template.get", output=["templateid"], search={"host": "KVM Hypervisor by "}, startSearch=True
        )
        rules = self._api.call(
            "discoveryrule.get",
            templateids=[template["templateid"] for template in found],
            filter={"key_": "kvm.discovery[guests]"},
            output=["itemid"],
        )
        prototypes = self._api.call(
            "hostprototype.get",
            output=["hostid", "host", "inventory_mode"],
            discoveryids=[rule["itemid"] for rule in rules],
        )
        for prototype in prototypes:
            if prototype["inventory_mode"] != _INVENTORY_AUTOMATIC:
                self._changes.make(
                    f"let guests found by prototype {prototype['hostid']} fill their inventory",
                    "hostprototype.update",
                    hostid=prototype["hostid"],
                    inventory_mode=int(_INVENTORY_AUTOMATIC),
                )


def fingerprint(macro: str, value: str) -> str:
    """A few characters that tell whether a macro still has the value that its template came with."""
    return hashlib.sha256(f"{macro}={value}".encode()).hexdigest()[:6]


def template_files(folder: Path) -> Iterator[Path]:
    """The template files, the guest's first: the others link to it. Raises KvmwatchError."""
    files = sorted(folder.glob("kvm_*/template.xml"), key=lambda path: (path.parent.name != "kvm_guest", path))
    if not files:
        raise KvmwatchError(f"no templates in {folder}; name their folder with --templates")
    yield from files


def read(path: Path) -> File:
    """Read a template's file. Raises KvmwatchError when it is not one of ours."""
    text = path.read_text(encoding="utf-8")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise KvmwatchError(f"{path} is not XML: {error}") from None
    template = root.find("templates/template")
    if template is None:
        raise KvmwatchError(f"{path} has no template in it")
    macros = {
        macro.findtext("macro", ""): macro.findtext("value", "") for macro in template.iterfind("macros/macro")
    }
    version = Version.read(macros.get(VERSION_MACRO, ""))
    if version is None:
        raise KvmwatchError(f"{path} has no version in {VERSION_MACRO}: it is none of kvmwatch's templates")
    uuids = frozenset(element.text or "" for element in root.iter("uuid"))
    return File(template.findtext("template", ""), version, macros, uuids, text)


def default_templates() -> Path:
    """Where the templates are: in the checkout, or where the package put them."""
    checkout = Path(__file__).parents[2] / "templates"
    if checkout.is_dir():
        return checkout
    places = [Path(sysconfig.get_path("data")) / "share/kvmwatch/templates", Path("/usr/share/kvmwatch/templates")]
    return next((place for place in places if place.is_dir()), places[-1])
