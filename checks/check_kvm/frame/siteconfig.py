"""What a site wants of its VMs, in a file (``--config``): thresholds for all, per VM what metadata can say.

An INI file::

    [defaults]
    cpu.usage.warning = 85

    [domain db-*]
    expect = running
    disk.write_latency.critical = 0.05
    contact_groups = databases
    vars.TEAM = storage

``[domain PATTERN]`` takes what -d takes; of several that match, the last in the file counts. The names of
:class:`~kvmwatch.model.routing.Routing` are keys as well, in ``[defaults]`` for all domains; they are for
``nagios_kvm config``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from check_kvm.frame import known
from check_kvm.frame.thresholds import parse_range
from kvmwatch.model import routing
from kvmwatch.model.errors import UsageError
from kvmwatch.model.policy import EXPECTATIONS, FLAGS, OwnThreshold, Policy, host_names
from kvmwatch.model.record import Record
from kvmwatch.model.routing import Routing
from kvmwatch.model.selection import Pattern
from kvmwatch.model.snapshot import Domain, Snapshot

_DEFAULTS, _DOMAIN, _SEVERITY = "defaults", "domain ", "severity"
_ALLOWED = "allow_metadata"
#: a section is a line of its own: configparser would take what follows on it for the name, or for nothing
_SECTION = r"\[(?P<header>(?:(?!\]\s*[#;]).)+)\]\s*$"


class SiteConfig(Record):
    """The file: ``domains`` is for those that a pattern selects, the rest for all of them."""

    thresholds: tuple[OwnThreshold, ...] = ()
    severities: tuple[tuple[str, str], ...] = ()
    domains: tuple[tuple[Pattern, Policy], ...] = ()
    allowed: tuple[str, ...] = ()  # globs of the groups, templates and variables that metadata may name

    @property
    def judges(self) -> bool:
        """Whether it has anything that a verdict depends on, besides who is told and what is left alone."""
        said = (policy._replace(routing=Routing(), ignore=None) for _, policy in self.domains)
        return bool(self.thresholds or self.severities) or any(one != Policy() for one in said)

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Give the snapshot with the policy of each domain, which its own metadata completes and overrides."""
        if not self.domains:
            return snapshot
        return snapshot._replace(
            domains=tuple(
                domain._replace(policy=self._policy(domain, snapshot.uuids)) for domain in snapshot.domains
            )
        )

    def of_check(self, check: str, level: str, metrics: Collection[str]) -> list[str]:
        """The thresholds on these metrics as ``-w`` or ``-c`` of a check take them; level warning or critical."""
        found = []
        for own in self.thresholds:
            name, _, metric = own.metric.partition(".")
            spec = getattr(own, level)
            if name == check and metric in metrics and spec is not None:
                found.append(f"{metric}={spec}")
        return found

    def severities_of(self, check: str) -> list[str]:
        """The severities for all domains as ``--severity`` of a check takes them."""
        of_check = ((name.partition("."), word) for name, word in self.severities)
        return [f"{condition}={word}" for (of, _, condition), word in of_check if of == check]

    def _policy(self, domain: Domain, uuids: Collection[str]) -> Policy:
        matching = (policy for pattern, policy in self.domains if pattern.matches(domain.name, domain.uuid, uuids))
        both = _over(*matching, domain.policy)
        return both if domain.policy.expect or not both.expect else both._replace(expect_from="--config")


def load(path: str) -> SiteConfig:
    """Read the file. Raises UsageError that names the section and what is wrong in it."""
    import configparser  # noqa: PLC0415 - most checks run without a file

    from kvmwatch.command import given  # noqa: PLC0415

    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="")
    parser.SECTCRE = re.compile(_SECTION)
    # names of variables keep their letters; small and large are the same in all other keys
    parser.optionxform = lambda key: key if key.lower().startswith(routing.VARS) else key.lower()  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(given.read("--config", path, UsageError), path)
    except configparser.Error as error:
        raise UsageError(f"{path}: {' '.join(str(error).split())}") from None
    thresholds: tuple[OwnThreshold, ...] = ()
    severities: tuple[tuple[str, str], ...] = ()
    allowed: tuple[str, ...] = ()
    domains: list[tuple[Pattern, Policy]] = []
    for section in parser.sections():
        where = f"{path}: [{section}]"
        values = parser[section]
        if section == _DEFAULTS:
            rest = dict(values)
            allowed = tuple(word.strip() for word in rest.pop(_ALLOWED, "").split(",") if word.strip())
            everywhere = Policy(routing=_routing(where, rest))
            if everywhere != Policy():
                domains.insert(0, (Pattern("*"), everywhere))
            severities = _severities(where, rest)
            thresholds = _thresholds(where, rest)
        elif section.startswith(_DOMAIN):
            domains.append((_pattern(where, section[len(_DOMAIN) :].strip()), _policy(where, values)))
        else:
            raise UsageError(f"{where}: use [defaults] or [domain PATTERN]")
    return SiteConfig(thresholds, severities, tuple(domains), allowed)


def _pattern(where: str, text: str) -> Pattern:
    try:
        return Pattern.parse(text)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _policy(where: str, given: Mapping[str, str]) -> Policy:
    values = dict(given)
    expect = values.pop("expect", None)
    if expect is not None and expect not in EXPECTATIONS:
        raise UsageError(f"{where}: expect = {expect}: use {', '.join(EXPECTATIONS)}")
    ignore = values.pop("ignore", None)
    if ignore is not None and ignore not in FLAGS:
        raise UsageError(f"{where}: ignore = {ignore}: use yes or no")
    routed = _routing(where, values)
    hosts = _hosts(where, values.pop("expect-host")) if "expect-host" in values else ()
    severities = _severities(where, values, of_a_domain=True)
    return Policy(
        expect,
        FLAGS.get(ignore or ""),
        _thresholds(where, values, of_a_domain=True),
        routing=routed,
        hosts=hosts,
        severities=severities,
    )


def _hosts(where: str, text: str) -> tuple[str, ...]:
    try:
        return host_names(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def _routing(where: str, values: dict[str, str]) -> Routing:
    """Take what says who is told out of the values of a section."""
    try:
        lists = {key: routing.names(values.pop(key)) for key in routing.LISTS if key in values}
        keys = [key for key in values if key.lower().startswith(routing.VARS)]
        variables = tuple(routing.variable(key[len(routing.VARS) :], values.pop(key)) for key in keys)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    for name, _ in variables:
        if wrong := known.no_option(name):
            raise UsageError(f"{where}: {routing.VARS}{wrong}")
    return Routing(**lists, variables=variables)


def _thresholds(where: str, given: Mapping[str, str], of_a_domain: bool = False) -> tuple[OwnThreshold, ...]:
    thresholds = []
    for key, spec in given.items():
        metric, _, level = key.rpartition(".")
        if level == _SEVERITY:
            continue
        if level not in ("warning", "critical") or "." not in metric:
            raise UsageError(
                f"{where}: {key}: use CHECK.METRIC.warning or CHECK.METRIC.critical = RANGE, "
                "or CHECK.CONDITION.severity = SEVERITY"
            )
        if wrong := known.misspelt(metric, of_a_domain=of_a_domain):
            raise UsageError(f"{where}: {metric}: unknown {wrong.kind} {wrong.word!r}; there are {wrong.known}")
        try:
            parse_range(spec, known.unit(metric))
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from None
        thresholds.append(
            OwnThreshold(metric, spec if level == "warning" else None, spec if level == "critical" else None)
        )
    return tuple(thresholds)


def _severities(where: str, given: Mapping[str, str], of_a_domain: bool = False) -> tuple[tuple[str, str], ...]:
    severities = []
    for key, word in given.items():
        condition, _, level = key.rpartition(".")
        if level != _SEVERITY:
            continue
        if wrong := known.misspelt(condition, "condition", of_a_domain):
            raise UsageError(f"{where}: {condition}: unknown {wrong.kind} {wrong.word!r}; there are {wrong.known}")
        try:
            known.condition(condition).given(word)
        except UsageError as error:
            raise UsageError(f"{where}: {key}: {error}") from None
        severities.append((condition, word))
    return tuple(severities)


def _over(*policies: Policy) -> Policy:
    """What policies say together, the weakest first; of thresholds for the same metric the later ones count."""
    strongest_first = policies[::-1]
    return Policy(
        expect=next((policy.expect for policy in strongest_first if policy.expect), None),
        ignore=next((policy.ignore for policy in strongest_first if policy.ignore is not None), None),
        thresholds=tuple(own for policy in policies for own in policy.thresholds),
        error=next((policy.error for policy in strongest_first if policy.error), None),
        routing=routing.over(policy.routing for policy in policies),
        severities=tuple(own for policy in policies for own in policy.severities),
        hosts=next((policy.hosts for policy in strongest_first if policy.hosts), ()),
    )
