"""What a check tells that has no figure and so no threshold: each with a severity, which a site may change."""

from __future__ import annotations

from collections.abc import Iterable

from check_kvm.frame import known
from check_kvm.frame.plugin_api import Critical, Ok, ServiceState, Unknown, Warn
from kvmwatch.model.errors import UsageError
from kvmwatch.model.policy import Policy
from kvmwatch.model.record import Record
from kvmwatch.model.text import quoted

SEVERITIES: dict[str, ServiceState] = {"ok": Ok, "warning": Warn, "critical": Critical, "unknown": Unknown}


class Condition(Record):
    """A condition that a check can find; ``state`` is its severity when nobody says otherwise."""

    name: str
    state: ServiceState
    help: str
    own: bool = True  # whether a VM can have a severity of its own for it

    @property
    def severity(self) -> str:
        """The word for that."""
        return next(word for word, state in SEVERITIES.items() if state is self.state)

    def given(self, word: str) -> ServiceState:
        """The state that this word makes of it. Raises UsageError."""
        state = severity(word)
        if state is Ok and self.state is Unknown:
            raise UsageError(f"{self.name} cannot be ok: what is not known never is; leave it out with -x")
        return state


class Severities:
    """The severities of one check's conditions. A domain's own ones win over the command line's."""

    def __init__(self, check: str, conditions: Iterable[Condition] = (), given: Iterable[str] = ()) -> None:
        """``check``: its short name; ``given``: ``CONDITION=SEVERITY``, of the same the last counts.

        Raises UsageError for an unknown word.
        """
        self._check = check
        there = {condition.name: condition for condition in conditions}
        self._given: dict[str, ServiceState] = {}
        for text in given:
            name, _, word = text.partition("=")
            if name not in there:
                there_are = f"there are {', '.join(there)}" if there else f"check_kvm_{check} has none"
                raise UsageError(f"unknown condition {name!r}; {there_are}")
            self._given[name] = there[name].given(word)

    def of(self, condition: Condition, policy: Policy | None = None) -> ServiceState:
        """The severity of a condition of a domain with this policy, whose words are usable."""
        found = self._given.get(condition.name, condition.state)
        for name, word in policy.severities if policy else ():
            if name == f"{self._check}.{condition.name}":
                found = SEVERITIES.get(word, found)
        return found

    def problems(self, policy: Policy, of_all: bool) -> list[str]:
        """What of a policy's severities is no use here; ``of_all``: also of what names no check at all."""
        found = []
        for name, word in policy.severities:
            mine = name.partition(".")[0] == self._check
            if not mine and not of_all:
                continue
            if wrong := known.misspelt(name, "condition", of_a_domain=True):
                found.append(wrong.said_of(name))
            elif mine and word not in SEVERITIES:
                found.append(f"{name}: severity {quoted(word)} is none of {', '.join(SEVERITIES)}")
        return found


def severity(word: str) -> ServiceState:
    """The state of a word. Raises UsageError."""
    if word not in SEVERITIES:
        raise UsageError(f"unknown severity {quoted(word)}: use {', '.join(SEVERITIES)}")
    return SEVERITIES[word]
