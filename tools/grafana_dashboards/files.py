"""Which dashboards there are."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_dashboards import export, fleet, hypervisor, vm
from grafana_dashboards.model import Dashboard

#: what is exported and in no dashboard, and why
LEFT_OUT = {
    **dict.fromkeys(
        ("kvm_filesystem_total_bytes", "kvm_filesystem_used_bytes", "kvm_filesystem_info"),
        "kvmwatch export does not ask the guest agent",
    ),
    **dict.fromkeys(
        (
            "kvm_process_pss_bytes",
            "kvm_process_vcpu_time_seconds_total",
            "kvm_process_iothread_time_seconds_total",
            "kvm_process_vhost_time_seconds_total",
            "kvm_process_io_delay_seconds_total",
        ),
        "kvmwatch export does not ask for what is dear to read of a process",
    ),
    "kvm_interface_attached": "in kvm_interface_link",
    "kvm_process_age_seconds": "kvm_domain_started_timestamp_seconds tells it",
    **dict.fromkeys(
        (
            "kvm_node_memory_total_bytes",
            "kvm_node_memory_free_bytes",
            "kvm_node_hugepages_total_bytes",
            "kvm_node_hugepages_free_bytes",
            "kvm_host_ksm_saved_bytes",
        ),
        "of few hypervisors; for who looks for it",
    ),
    **dict.fromkeys(
        ("kvm_pool_state", "kvm_network_info", "kvm_uplink_info"),
        "the tables of pools, networks and uplinks have what follows from them",
    ),
    **dict.fromkeys(
        ("kvm_uplink_rx_packets_total", "kvm_uplink_tx_packets_total"),
        "bytes, errors and drops tell what is wrong",
    ),
}
FOLDER = Path(__file__).parents[2] / "templates" / "grafana"


def dashboards() -> tuple[Dashboard, ...]:
    """All of them, as one looks at them."""
    return fleet.dashboard(), hypervisor.dashboard(), vm.dashboard()


def files() -> dict[str, str]:
    """Path below templates/grafana/ to text."""
    return {
        f"{one.uid}.json": json.dumps(export.dashboard(one), indent=1, ensure_ascii=False) + "\n"
        for one in dashboards()
    }
