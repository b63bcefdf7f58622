"""What guests told of their memory in their last two reports.

A guest reports every 10 s, say, and in between its counters stand still. Who reads more often than that would find
that it does not swap, and then that it swaps three times as much as it does. So these counters are compared from
report to report, by the time of the reports: what they are overdue nothing is known of the present.
"""

from __future__ import annotations

from kvmwatch.model.rates import REPORTS, UPDATED, Sample, Samples, of_guest, reported_at
from kvmwatch.model.snapshot import Snapshot


def samples(snapshot: Snapshot, earlier: Samples) -> Samples:
    """The reports of each domain, to be compared with what a later reading finds."""
    taken: Samples = {}
    for domain in snapshot.domains:
        updated, counters = domain.stats.balloon_updated, of_guest(domain.stats)
        if updated is None or not counters:
            continue
        last, before = (domain.uuid + end for end in REPORTS)
        known = earlier.get(last)
        if known and known.generation == domain.id and known.counters.get(UPDATED) == updated:
            taken |= {key: earlier[key] for key in (last, before) if key in earlier}
            continue
        moment = reported_at(domain, snapshot.time)
        taken[last] = Sample(moment, domain.id, {**counters, UPDATED: updated})
        if known:
            taken[before] = known
    return taken
