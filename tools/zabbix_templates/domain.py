"""VMs as a whole: items, triggers and graphs, below a hypervisor or as a host of their own."""

from __future__ import annotations

from kvmwatch.model import states
from zabbix_templates.model import Graph, Macro, Rule, Trigger
from zabbix_templates.scope import AGENT, STATE, Owner, Shown

MACROS = (
    Macro("{$KVM.VM.ALERTS}", "1", "0: no problems of VMs. Context: the VM's name"),
    Macro("{$KVM.VM.CPU.MAX}", "90", "CPU utilization of a VM, %. Context: the VM's name"),
    Macro("{$KVM.VM.STEAL.WARN}", "10", "CPU steal of a VM, %: warning. Context: the VM's name"),
    Macro("{$KVM.VM.STEAL.MAX}", "25", "CPU steal of a VM, %: average. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.MAX}", "95", "Memory utilization of a VM, %. Context: the VM's name"),
    Macro("{$KVM.VM.MEMORY.SQUEEZED}", "85", "The same, while its balloon holds memory back. Context: the VM's name"),
    Macro("{$KVM.VM.SWAP.MAX}", "1M", "Bytes a second swapped in and out in a VM. Context: the VM's name"),
    Macro("{$KVM.VM.RESPONSE.MAX}", "30", "Seconds for which a QEMU may owe libvirt an answer. Context: the VM's name"),
    Macro("{$KVM.VM.BRIEF.WARN}", "5m", "Starting up or shutting down for this long: warning. Context: the VM's name"),
    Macro("{$KVM.VM.BRIEF.MAX}", "15m", "The same: high. Context: the VM's name"),
    Macro("{$KVM.VM.JOB.WARN}", "30m", "Migrating, saving, dumping or making a snapshot for this long: warning. Context: the VM's name"),
    Macro("{$KVM.VM.JOB.MAX}", "2h", "The same: high. Context: the VM's name"),
    Macro("{$KVM.VM.RESTART.TIME}", "10m", "How long a restart is told. Context: the VM's name"),
    Macro("{$KVM.VM.AGENT.MEMORY}", "1d", "A guest agent is lost if it was there within this time. Context: the VM's name"),
    Macro("{$KVM.VM.SNAPSHOT.AGE.MAX}", "7d", "Age of a snapshot. Context: the VM's name"),
)  # fmt: skip


SHOWN = (
    Shown("state", "State", value_map=STATE, component="state"),
    Shown("reason", "Reason of the state", steady=True, value_type="CHAR", component="state"),
    Shown("expected", "Expected state", steady=True, value_type="CHAR", component="state"),
    Shown("id", "Number of this run", value_type="UNSIGNED", component="state"),
    Shown("not_responding", "QEMU has not answered for", "s", component="state"),
    Shown("agent", "Guest agent", steady=True, value_map=AGENT, component="state"),
    Shown("cpu_time_per_vcpu", "CPU utilization", "%", 100, most=1000, component="cpu"),
    Shown(
        "emulator_time",
        "CPU of emulator and I/O threads (100 % is one CPU)",
        "%",
        100,
        most=100000,
        component="cpu",
    ),
    Shown("cpu_delay_per_vcpu", "CPU steal", "%", 100, most=1000, component="cpu"),
    Shown("vcpu_count", "vCPUs", steady=True, value_type="UNSIGNED", component="cpu"),
    Shown("memory_usage", "Memory utilization", "%", component="memory"),
    Shown("memory_usable", "Memory usable without swapping", "B", component="memory"),
    Shown("memory_current", "Memory given (balloon)", "B", component="memory"),
    Shown("memory_maximum", "Memory maximum", "B", steady=True, component="memory"),
    Shown("memory_rss", "Host memory of QEMU", "B", component="memory"),
    Shown("swap_in", "Swapped in", "Bps", component="memory"),
    Shown("swap_out", "Swapped out", "Bps", component="memory"),
    Shown("major_faults", "Major page faults", "!faults/s", component="memory"),
    Shown("balloon_updated", "Memory last reported", "unixtime", value_type="UNSIGNED", component="memory"),
    Shown("disk_bytes", "Disk throughput", "Bps", component="storage"),
    Shown("network_bytes", "Network traffic", "bps", 8, component="network"),
    Shown("snapshots", "Snapshots", steady=True, value_type="UNSIGNED", component="storage"),
    Shown("oldest_snapshot", "Oldest snapshot", "unixtime", value_type="UNSIGNED", component="storage"),
)


def rule(owner: Owner) -> Rule:
    """The discovery rule of the VMs of a hypervisor."""
    return Rule(
        name="VM discovery",
        key="kvm.discovery[domains]",
        path="$.discovery.domains",
        description='The VMs, running or not; those with <watch ignore="yes"/> in their metadata are left out.',
        master=owner.master,
        filters=owner.filters,
        items=owner.scope().items(SHOWN),
        triggers=triggers(owner),
        graphs=graphs(owner),
    )


def triggers(owner: Owner) -> tuple[Trigger, ...]:
    """What can be wrong with a VM as a whole."""
    vm, alerts, macro = owner.scope(), owner.alerts(), owner.macro
    running = f"last({vm.ref('state')})=1"
    title = owner.title or "VM: "
    crashed = f"{title}Crashed"
    shut_off = f"(last({vm.ref('state')})=5 or last({vm.ref('state')})=7)"
    newer = f'find({vm.ref("reason")},,"like","reason ")=1'  # one that only a newer libvirt has

    def because(state: int, meaning: str, but: str = "") -> str:
        """Whether it is in this state for a reason with this meaning."""
        texts = [known.text for known in states.REASONS[state] if known.meaning is meaning and known.text != but]
        reasons = " or ".join(f'{reason}="{text}"' for text in texts)
        return f"last({vm.ref('state')})={state} and ({reasons})"

    wanted = f'(last({vm.ref("expected")})="running" or last({vm.ref("expected")})="paused")'
    reason = f"last({vm.ref('reason')})"

    def lasting(lasts: str, limit: str) -> str:
        """Whether it has been in a passing state all this time, and was seen for most of it."""
        state, window = vm.ref("state"), macro(f"VM.{lasts.upper()}.{limit}")
        found = []
        for number, known in states.REASONS.items():
            texts = [f'{reason}="{one.text}"' for one in known if one.lasts == lasts]
            if texts:
                found.append(f"last({state})={number} and ({' or '.join(texts)})")
        return (
            f"(({') or ('.join(found)})) and min({state},{window})=max({state},{window}) "
            f"and count({state},{window})*{{$KVM.INTERVAL}}*2>{window}"
        )

    def unfinished(lasts: str, meaning: str, cure: str) -> tuple[Trigger, Trigger]:
        name = {states.BRIEF: "Does not get started or shut down", states.JOB: "Does not finish a job"}[lasts]
        worse = f"{name} (severe)"
        more = {"opdata": "{ITEM.LASTVALUE2}"}
        return (
            trigger(
                name,
                lasting(lasts, "WARN"),
                "WARNING",
                meaning,
                cure,
                "availability",
                depends=(title + worse,),
                **more,
            ),
            trigger(worse, lasting(lasts, "MAX"), "HIGH", meaning, cure, "availability", **more),
        )

    elsewhere = " and ".join(
        f'{reason}<>"{known.text}"'
        for known in states.REASONS[states.SHUTOFF]
        if known.meaning is states.ELSEWHERE
    )
    steal = f"{title}CPU steal is high"

    def trigger(
        name: str, expression: str, severity: str, meaning: str, cure: str, scope: str, **more: object
    ) -> Trigger:
        return Trigger(f"{title}{name}", expression + alerts, severity, meaning, cure, scope, **more)  # type: ignore[arg-type]

    return (
        trigger(
            "Crashed",
            f"(last({vm.ref('state')})={states.CRASHED} or ({because(states.SHUTOFF, states.FAULT)}) "
            f"or ({because(states.RUNNING, states.FAULT)}))",
            "HIGH",
            "The guest's kernel panicked, QEMU died, the VM could not be started, libvirt could not take it back after a "
            "restart, or its post-copy migration failed.",
            "look at the VM's console and at /var/log/libvirt/qemu/NAME.log; then virsh destroy NAME and virsh start NAME.",
            "availability",
            opdata="{ITEM.LASTVALUE1}",
        ),
        trigger(
            "Not running though it should be",
            f"{shut_off} and {wanted} and {elsewhere}",
            "HIGH",
            "The VM has autostart (or its metadata says that it should run) and is shut off or suspended.",
            "virsh start NAME (or virsh dompmwakeup NAME); if that is intended, switch autostart off or set expect=\"any\" in its metadata.",
            "availability",
            depends=(crashed,),
            opdata="{ITEM.LASTVALUE1}",
        ),
        trigger(
            "Paused by an I/O error",
            f'last({vm.ref("state")})=3 and {reason}="I/O error"',
            "HIGH",
            "QEMU stopped the guest because its storage gave an error, mostly because it is full.",
            "virsh domblkerror NAME names the disk; make room or mend the storage, then virsh resume NAME.",
            "availability",
        ),
        trigger(
            "Paused by a fault",
            because(states.PAUSED, states.FAULT, but="I/O error"),
            "HIGH",
            "The guest was stopped by its watchdog, a panic, or a failed migration or operation.",
            "look at /var/log/libvirt/qemu/NAME.log; virsh resume NAME if the cause is gone, else virsh reset NAME.",
            "availability",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Paused",
            f'({because(states.PAUSED, states.HELD)} and last({vm.ref("expected")})<>"paused" '
            f"or last({vm.ref('state')})={states.PAUSED} and {newer})",
            "WARNING",
            "Somebody paused the VM, or it was reverted to a snapshot of a paused one; nobody can use it.",
            "virsh resume NAME, or set expect=\"paused\" in its metadata.",
            "availability",
        ),
        *unfinished(
            states.BRIEF,
            "libvirt has been starting this VM's QEMU or ending it for longer than that should take.",
            "look at /var/log/libvirt/qemu/NAME.log, at the storage (NFS?) and at dmesg; virsh destroy NAME ends it.",
        ),
        *unfinished(
            states.JOB,
            "A migration, save, dump or snapshot has held the VM for longer than that should take.",
            "virsh domjobinfo NAME shows whether it gets on; virsh domjobabort NAME ends it.",
        ),
        trigger(
            "State cannot be judged",
            f"(last({vm.ref('state')})={states.NOSTATE} or last({vm.ref('state')})>{len(states.NAMES) - 1} "
            f"or last({vm.ref('state')})<>{states.PAUSED} and {newer})",
            "WARNING",
            "libvirt cannot tell the VM's state, or is newer than kvmwatch and tells a state or a reason that it does not know.",
            "compare with virsh domstate --reason NAME; install a newer kvmwatch.",
            "availability",
            opdata="{ITEM.LASTVALUE1}",
        ),
        trigger(
            "Running though it should be shut off",
            f'{running} and last({vm.ref("expected")})="shutoff"',
            "WARNING",
            "Its metadata says expect=\"shutoff\", and it runs.",
            "find out who started it; virsh shutdown NAME.",
            "notice",
        ),
        trigger(
            "QEMU does not answer",
            f"last({vm.ref('not_responding')})>{macro('VM.RESPONSE.MAX')}",
            "HIGH",
            "The VM's QEMU process has not answered libvirt; the guest may hang, and nothing can be measured of it.",
            "look at its storage (NFS?) and at dmesg on the hypervisor; virsh domcontrol NAME says the same.",
            "availability",
            opdata="for {ITEM.LASTVALUE1}",
        ),
        trigger(
            "Restarted",
            f"max({vm.ref('id')},{macro('VM.RESTART.TIME')})>min({vm.ref('id')},{macro('VM.RESTART.TIME')}) "
            f'and {reason}<>"migrated"',
            "INFO",
            "The VM was stopped and started again (a reboot inside the guest does not count).",
            "nothing, if that was intended; else see its log and the hypervisor's.",
            "notice",
            manual_close=True,
        ),
        trigger(
            "CPU utilization is high",
            f"{running} and min({vm.ref('cpu_time_per_vcpu')},5m)>{macro('VM.CPU.MAX')}",
            "WARNING",
            "The VM has used nearly all of its vCPUs for 5 minutes.",
            "look inside for what uses it, or give it more vCPUs.",
            "performance",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "CPU steal is high",
            f"{running} and min({vm.ref('cpu_delay_per_vcpu')},5m)>{macro('VM.STEAL.WARN')}",
            "WARNING",
            "The VM's vCPUs were ready but waited for a physical CPU (or for the VM's own quota).",
            "move VMs to another hypervisor, or give this one more CPU shares.",
            "performance",
            depends=(f"{steal} (severe)",),
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "CPU steal is high (severe)",
            f"{running} and min({vm.ref('cpu_delay_per_vcpu')},5m)>{macro('VM.STEAL.MAX')}",
            "AVERAGE",
            "The VM's vCPUs waited for a physical CPU a great part of the time: it is slow now.",
            "move VMs to another hypervisor now.",
            "performance",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Memory is low",
            f"{running} and min({vm.ref('memory_usage')},5m)>{macro('VM.MEMORY.MAX')}",
            "AVERAGE",
            "The guest can hardly get memory without swapping (caches count as free).",
            "look inside for what takes it, or give it more memory: virsh setmem NAME SIZE --live.",
            "capacity",
            opdata="{ITEM.LASTVALUE2}",
        ),
        trigger(
            "Balloon is squeezed while memory is short",
            f"{running} and last({vm.ref('memory_current')})<last({vm.ref('memory_maximum')}) "
            f"and min({vm.ref('memory_usage')},5m)>{macro('VM.MEMORY.SQUEEZED')}",
            "WARNING",
            "The hypervisor holds back memory that the VM may have, and the guest is short of it.",
            "virsh setmem NAME SIZE --live; if the host has none to give, move VMs away.",
            "capacity",
            depends=(f"{title}Memory is low",),
        ),
        trigger(
            "Swapping",
            f"{running} and (min({vm.ref('swap_in')},5m)+min({vm.ref('swap_out')},5m))>{macro('VM.SWAP.MAX')}",
            "WARNING",
            "The guest has been swapping for 5 minutes.",
            "give it more memory, or find what takes it.",
            "performance",
        ),
        trigger(
            "Guest agent is lost",
            f"{running} and last({vm.ref('agent')})=0 and max({vm.ref('agent')},{macro('VM.AGENT.MEMORY')})=1",
            "WARNING",
            "The guest agent was connected and is not any more: no file systems, no frozen backups.",
            "systemctl restart qemu-guest-agent inside of the guest.",
            "notice",
        ),
        trigger(
            "A snapshot is too old",
            f"last({vm.ref('snapshots')})>0 and last({owner.time})-last({vm.ref('oldest_snapshot')})>{macro('VM.SNAPSHOT.AGE.MAX')}",
            "WARNING",
            "A forgotten snapshot: it grows, and slows the disk down.",
            "virsh snapshot-list NAME; delete what nobody needs.",
            "capacity",
            opdata="made {ITEM.LASTVALUE3}",
        ),
    )  # fmt: skip


def graphs(owner: Owner) -> tuple[Graph, ...]:
    """Graphs of a VM."""
    vm = owner.scope()
    title = owner.title or "VM: "  # Linux by Zabbix agent has graphs like these, and two cannot be called the same
    return (
        Graph(
            f"{title}CPU",
            (vm.key("cpu_time_per_vcpu"), vm.key("cpu_delay_per_vcpu"), vm.key("emulator_time")),
        ),
        Graph(
            f"{title}Memory",
            (vm.key("memory_rss"), vm.key("memory_current"), vm.key("memory_usable"), vm.key("memory_maximum")),
        ),
        Graph(f"{title}Memory utilization", (vm.key("memory_usage"),), percent=True),
        Graph(f"{title}Swapping", (vm.key("swap_in"), vm.key("swap_out"))),
        Graph(f"{title}Disk throughput", (vm.key("disk_bytes"),)),
        Graph(f"{title}Network traffic", (vm.key("network_bytes"),)),
    )
