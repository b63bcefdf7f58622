"""Tests of the alerts on verdicts, for "promtool test rules": that each is told in its time, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import alerts_page
from check_kvm.frame.plugin import Check

from prometheus_rules.model import MADE
from prometheus_rules.verdicts import checks, lasts

#: what a check says minute by minute, and the severities that are told of it in the end
_STORIES = (
    ("0x30", ()),
    ("1x30", ("warning",)),
    ("2x30", ("critical", "warning")),
    ("3x30", ("unknown", "warning")),
    (" ".join(["1", "2"] * 15), ("warning",)),
    (" ".join(["2", "0"] * 15), ()),
)
_HEAD = f"""{MADE}rule_files: [../kvmwatch-rules.yml]
evaluation_interval: 1m
tests:
"""


def render() -> str:
    """Give the file."""
    return _HEAD + "".join("".join(_of(check)) for check in checks())


def _of(check: Check) -> Iterator[str]:
    told = alerts_page.of_check(check.name)
    minutes = int(lasts(check)[:-1])
    yield f"  - name: {told}\n    interval: 1m\n    input_series:\n"
    for number, (values, _) in enumerate(_STORIES):
        yield f"      - series: 'kvm_check_status{{{_labels(check, number)}}}'\n        values: '{_values(values)}'\n"
    yield "    promql_expr_test:\n"
    for when, firing in ((minutes - 1, False), (minutes + 1, True)):
        yield f'      - expr: \'ALERTS{{alertname="{told}", alertstate="firing"}}\'\n        eval_time: {when}m\n'
        if not firing:
            yield "        exp_samples: []\n"
            continue
        yield "        exp_samples:\n"
        for number, (_, severities) in enumerate(_STORIES):
            for severity in severities:
                state = f'alertname="{told}", alertstate="firing", severity="{severity}"'
                yield f"          - labels: 'ALERTS{{{state}, {_labels(check, number)}}}'\n            value: 1\n"


def _values(story: str) -> str:
    """promtool's own notation: 2x30 there is a sequence that grows."""
    return story.replace("x", "+0x") if "x" in story else story


def _labels(check: Check, number: int) -> str:
    who = f', uuid="{number}", domain="vm{number}"' if check.of_each_domain else ""
    instance = "kvm1" if check.of_each_domain else f"kvm{number}"
    return f'check="{check.name}", job="kvmwatch", instance="{instance}"{who}'
