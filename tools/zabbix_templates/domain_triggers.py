"""What can be wrong with a VM as a whole, below a hypervisor or as a host of its own."""

from __future__ import annotations

from zabbix_kvm import conditions

from zabbix_templates.model import Trigger
from zabbix_templates.scope import Owner
from zabbix_templates.triggers import SETTLED, Guard, When, alarm, held, now, over, pair, text


def triggers(owner: Owner) -> tuple[Trigger, ...]:
    """What can be wrong with a VM as a whole."""
    return (*_of_state(owner), *_of_load(owner), *_of_guest(owner))


def _title(owner: Owner) -> str:
    return owner.title or "VM: "


def _of_state(owner: Owner) -> tuple[Trigger, ...]:
    """What its condition tells, and whether its QEMU answers."""
    vm, macro, title = owner.scope(), owner.macro, _title(owner)
    condition, expected = vm.ref("condition"), vm.ref("expected")
    why = text(vm.ref("reason"))
    guards = (SETTLED, owner.alerts())

    def being(number: int, time: str, tells: str = "") -> When:
        return held(condition, number, macro(time), f"{tells or why} for {macro(time)}")

    def wanted(*words: str, time: str = "") -> When:
        """Whether this is expected; with a time, it was so at its beginning as well."""

        def one_of(value: str) -> str:
            return " or ".join(f'{value}="{word}"' for word in words)

        now_and_then = [one_of(f"last({expected})")]
        if time:
            now_and_then.append(one_of(f"last({expected},#1:now-{macro(time)})"))
        return When(
            " and ".join(f"({part})" for part in now_and_then),
            " and ".join(f'last({expected})<>"{word}"' for word in words),
        )

    def unfinished(name: str, number: int, lasts: str, meaning: str, cure: str) -> tuple[Trigger, ...]:
        limits = (f"VM.{lasts}.WARN", f"VM.{lasts}.MAX")
        return pair(
            f"{title}{name}",
            (being(number, limits[0]), being(number, limits[1])),
            (meaning, meaning),
            cure,
            "availability",
            guards,
            severities=("WARNING", "HIGH"),
        )

    silent = f"{title}QEMU does not answer"
    watched = owner.watched(condition)
    gone = () if owner.single else (_gone(owner, title, wanted("running", "paused")),)
    return (
        alarm(
            f"{title}Crashed",
            "HIGH",
            being(conditions.CRASHED, "VM.FAULT.TIME"),
            "The guest's kernel panicked, QEMU died, the VM could not be started, libvirt could not take it back after a "
            "restart, or its post-copy migration failed.",
            "look at the VM's console and at /var/log/libvirt/qemu/NAME.log; then virsh destroy NAME and virsh start NAME.",
            "availability",
            guards,
        ),
        alarm(
            f"{title}Not running though it should be",
            "HIGH",
            being(conditions.OFF, "VM.DOWN.TIME", f"off ({why})") & wanted("running", "paused", time="VM.DOWN.TIME"),
            "The VM has autostart (or its metadata, or {$KVM.VM.EXPECT}, says that it should run) and is shut off or suspended.",
            "virsh start NAME (or virsh dompmwakeup NAME); if that is intended, switch autostart off or set expect=\"any\" in its metadata.",
            "availability",
            guards,
        ),
        alarm(
            f"{title}Paused by an I/O error",
            "HIGH",
            being(conditions.IO_ERROR, "VM.FAULT.TIME"),
            "QEMU stopped the guest because its storage gave an error, or is full (that of a pool is told of the pool).",
            "virsh domblkerror NAME names the disk; make room or mend the storage, then virsh resume NAME.",
            "availability",
            guards,
        ),
        alarm(
            f"{title}Paused because its pool is full",
            "INFO",
            being(conditions.FULL, "VM.FAULT.TIME"),
            "QEMU stopped the guest because there is no room in its storage pool. That is told of the pool.",
            "make room in the pool, then virsh resume NAME.",
            "notice",
            guards,
        ),
        alarm(
            f"{title}Paused by a fault",
            "HIGH",
            being(conditions.FAULT, "VM.FAULT.TIME"),
            "The guest was stopped by its watchdog, a panic, or a failed migration or operation.",
            "look at /var/log/libvirt/qemu/NAME.log; virsh resume NAME if the cause is gone, else virsh reset NAME.",
            "availability",
            guards,
        ),
        alarm(
            f"{title}Paused",
            "WARNING",
            being(conditions.PAUSED, "VM.PAUSED.TIME") & When(f'last({expected})<>"paused"', f'last({expected})="paused"'),
            "Somebody paused the VM, or it was reverted to a snapshot of a paused one; nobody can use it.",
            "virsh resume NAME, or set expect=\"paused\" in its metadata.",
            "availability",
            guards,
        ),
        *unfinished(
            "Does not get started or shut down",
            conditions.BRIEF,
            "BRIEF",
            "libvirt has been starting this VM's QEMU or ending it for longer than that should take.",
            "look at /var/log/libvirt/qemu/NAME.log, at the storage (NFS?) and at dmesg; virsh destroy NAME ends it.",
        ),
        *unfinished(
            "Does not finish a job",
            conditions.JOB,
            "JOB",
            "A migration, save, dump or snapshot has held the VM for longer than that should take.",
            "virsh domjobinfo NAME shows whether it gets on; virsh domjobabort NAME ends it.",
        ),
        alarm(
            f"{title}State cannot be judged",
            "WARNING",
            being(conditions.UNKNOWN, "VM.UNKNOWN.TIME"),
            "libvirt cannot tell the VM's state, or is newer than kvmwatch and tells a state or a reason that it does not know.",
            "compare with virsh domstate --reason NAME; install a newer kvmwatch.",
            "availability",
            guards,
            depends=(silent,),
        ),
        alarm(
            f"{title}Running though it should be shut off",
            "WARNING",
            being(conditions.RUNNING, "VM.DOWN.TIME", f"it should be {text(expected)}, and runs") & wanted("shutoff", "paused", time="VM.DOWN.TIME"),
            "Its metadata, or {$KVM.VM.EXPECT}, says that it should be shut off or paused, and it runs.",
            "find out who started it; virsh shutdown NAME.",
            "notice",
            guards,
        ),
        alarm(
            silent,
            "HIGH",
            over(vm.ref("not_responding"), macro("VM.RESPONSE.MAX"), macro("VM.RESPONSE.TIME"), " s", hovers=False),
            "The VM's QEMU process has not answered libvirt; the guest may hang, and nothing can be measured of it.",
            "look at its storage (NFS?) and at dmesg on the hypervisor; virsh domcontrol NAME says the same.",
            "availability",
            (SETTLED, owner.watched(condition, macro("VM.RESPONSE.TIME")), owner.alerts()),
        ),
        *gone,
        _restarted(owner, title, watched),
        _rebooted(owner, title, watched),
    )  # fmt: skip


def _gone(owner: Owner, title: str, wanted: When) -> Trigger:
    condition, told = owner.scope().ref("condition"), owner.macro("VM.GONE.TIME")
    gone = conditions.GONE
    when = When(
        f"last({condition})={gone} and last({condition},#1:now-{{$KVM.INTERVAL}})={gone} "
        f'and count({condition},{told},"lt",{conditions.ELSEWHERE})>0',
        f'last({condition})<>{gone} or count({condition},{told},"lt",{conditions.ELSEWHERE})=0',
    )
    return alarm(
        f"{title}Gone from this hypervisor",
        "INFO",
        when & wanted,
        "A VM that should run is not defined here any more: it was migrated away or removed, or was transient and ended. "
        "Its other problems are over. Told for {$KVM.VM.GONE.TIME}.",
        "nothing, if that was intended; virsh list --all on the other hypervisors tells whether it is there.",
        "notice",
        (SETTLED, owner.alerts()),
        tells=f"it should be {text(owner.scope().ref('expected'))}",
        manual_close=True,
    )


def _restarted(owner: Owner, title: str, watched: Guard) -> Trigger:
    vm, time = owner.scope(), owner.macro("VM.RESTART.TIME")
    run, reason = vm.ref("id"), vm.ref("reason")
    before = f"last({vm.ref('condition')},#1:now-{time})"
    when = When(
        f'last({run})<>last({run},#1:now-{time}) and {before}={conditions.RUNNING} and last({reason})<>"migrated"',
        f'last({run})=last({run},#1:now-{time}) or {before}<>{conditions.RUNNING} or last({reason})="migrated"',
    )
    return alarm(
        f"{title}Restarted",
        "INFO",
        when,
        "The VM was stopped and started again (a reboot inside the guest does not count).",
        "nothing, if that was intended; else see its log and the hypervisor's.",
        "notice",
        # after a reboot of the hypervisor all have another number
        (Guard(f"max(/T/kvm.gap,{time})<{{$KVM.INTERVAL}}*2.5"), watched, owner.alerts()),
        tells=f"within {time}; it is {text(reason)}",
        shows="run {ITEM.LASTVALUE1}",
        manual_close=True,
    )


def _rebooted(owner: Owner, title: str, watched: Guard) -> Trigger:
    vm, time = owner.scope(), owner.macro("VM.RESTART.TIME")
    faults, run = vm.ref("major_faults"), vm.ref("id")
    when = When(
        f"last({faults})<last({faults},#2) and last({run})=last({run},#1:now-{time})",
        f"last({faults})>=last({faults},#2) or last({run})<>last({run},#1:now-{time})",
    )
    return alarm(
        f"{title}Rebooted inside",
        "INFO",
        when,
        "The guest counts its page faults anew, and its QEMU is the same: it was rebooted from inside or reset, or reverted to a "
        "snapshot. Known only of guests that report their memory.",
        "nothing, if that was intended; else look at the guest's log of the time before.",
        "notice",
        (SETTLED, watched, owner.alerts()),
        tells="{ITEM.LASTVALUE1} page faults since then",
        manual_close=True,
    )


def _of_load(owner: Owner) -> tuple[Trigger, ...]:
    """What it uses of CPU and memory."""
    vm, macro, title = owner.scope(), owner.macro, _title(owner)
    alerts = owner.alerts()

    def running(time: str) -> tuple[Guard, ...]:
        return SETTLED, owner.running(vm.ref("condition"), macro(time)), alerts

    def both(metric: str, name: str) -> tuple[When, When]:
        warn, most, time = macro(f"VM.{name}.WARN"), macro(f"VM.{name}.MAX"), macro(f"VM.{name}.TIME")
        return over(vm.ref(metric), warn, time, " %"), over(vm.ref(metric), most, time, " %")

    memory = f"{title}Memory is low"
    swap = vm.ref("swap")
    squeezed = over(vm.ref("memory_usage"), macro("VM.MEMORY.SQUEEZED"), macro("VM.MEMORY.TIME"), " %")
    current, maximum = vm.ref("memory_current"), vm.ref("memory_maximum")
    return (
        *pair(
            f"{title}CPU utilization is high",
            both("cpu_time_per_vcpu", "CPU"),
            (
                "The VM has used nearly all of its vCPUs for {$KVM.VM.CPU.TIME}.",
                "The VM has used all of its vCPUs for {$KVM.VM.CPU.TIME}.",
            ),
            "look inside for what uses it, or give it more vCPUs.",
            "performance",
            running("VM.CPU.TIME"),
        ),
        *pair(
            f"{title}CPU steal is high",
            both("cpu_delay_per_vcpu", "STEAL"),
            (
                "The VM's vCPUs were ready but waited for a physical CPU (or for the VM's own quota).",
                "The VM's vCPUs waited for a physical CPU a great part of the time: it is slow now.",
            ),
            "move VMs to another hypervisor, or give this one more CPU shares.",
            "performance",
            running("VM.STEAL.TIME"),
        ),
        *pair(
            memory,
            both("memory_usage", "MEMORY"),
            (
                "The guest has little memory left that it can get without swapping (caches count as free).",
                "The guest can hardly get memory without swapping (caches count as free).",
            ),
            "look inside for what takes it, or give it more memory: virsh setmem NAME SIZE --live.",
            "capacity",
            running("VM.MEMORY.TIME"),
        ),
        alarm(
            f"{title}Balloon is squeezed while memory is short",
            "WARNING",
            squeezed & When(f"last({current})<last({maximum})", f"last({current})>=last({maximum})"),
            "The hypervisor holds back memory that the VM may have, and the guest is short of it.",
            "virsh setmem NAME SIZE --live; if the host has none to give, move VMs away.",
            "capacity",
            running("VM.MEMORY.TIME"),
            tells=f"{squeezed.tells}, has {text(current)} of {text(maximum)} bytes",
            depends=(memory, f"{memory} (severe)"),
        ),
        *pair(
            f"{title}Swapping",
            (
                over(swap, macro("VM.SWAP.WARN"), macro("VM.SWAP.TIME"), " B/s"),
                over(swap, macro("VM.SWAP.MAX"), macro("VM.SWAP.TIME"), " B/s"),
            ),
            (
                "The guest has been swapping for {$KVM.VM.SWAP.TIME}.",
                "The guest has been swapping a lot for {$KVM.VM.SWAP.TIME}: it is slow now.",
            ),
            "give it more memory, or find what takes it.",
            "performance",
            running("VM.SWAP.TIME"),
        ),
    )


def _of_guest(owner: Owner) -> tuple[Trigger, ...]:
    """Its agent, its balloon driver and its snapshots."""
    vm, macro, title = owner.scope(), owner.macro, _title(owner)
    condition, alerts = vm.ref("condition"), owner.alerts()
    watched = owner.watched(condition)
    agent, lost, reports = vm.ref("agent"), macro("VM.AGENT.TIME"), macro("VM.MEMORY.TIME")
    number, oldest = vm.ref("snapshots"), vm.ref("oldest_snapshot")

    def reporting(value: int) -> When:
        return held(vm.ref("memory_report"), value, reports)

    return (
        alarm(
            f"{title}Guest agent is lost",
            "WARNING",
            held(agent, 0, lost) & When(f"max({agent},{macro('VM.AGENT.MEMORY')})=1", f"last({agent})=1"),
            "The guest agent was connected and is not any more: no file systems, no frozen backups.",
            "systemctl restart qemu-guest-agent inside of the guest; close the problem if the agent was removed.",
            "notice",
            (SETTLED, owner.running(condition, lost), alerts),
            manual_close=True,
        ),
        alarm(
            f"{title}Guest stopped reporting its memory",
            "WARNING",
            reporting(1),
            "The guest's balloon driver gave statistics and stopped: it hangs, or the driver is gone. Its memory is not known "
            "any more.",
            "look at the VM's console; is virtio_balloon loaded inside of it?",
            "notice",
            (SETTLED, owner.running(condition, reports), alerts),
        ),
        alarm(
            f"{title}Balloon driver answers without values",
            "WARNING",
            reporting(2),
            "The guest's balloon driver is there but tells nothing of its memory: in Windows its service is missing. What the "
            "guest uses is not known.",
            "in Windows run blnsvr.exe -i as administrator (it comes with the driver).",
            "notice",
            (SETTLED, owner.running(condition, reports), alerts),
        ),
        alarm(
            f"{title}A snapshot is too old",
            "WARNING",
            When(
                f"last({oldest})<last({owner.time})-{macro('VM.SNAPSHOT.AGE.MAX')} and last({number})>0",
                f"last({oldest})>=last({owner.time})-{macro('VM.SNAPSHOT.AGE.MAX')} or last({number})=0",
            ),
            "A forgotten snapshot: it grows, and slows the disk down.",
            "virsh snapshot-list NAME; delete what nobody needs.",
            "capacity",
            (watched, alerts),
            tells=f"the oldest of {text(number)} is of {{ITEM.LASTVALUE1}}",
            shows="made {ITEM.LASTVALUE1}",
        ),
        alarm(
            f"{title}Carries many snapshots",
            "WARNING",
            now(number, ">", macro("VM.SNAPSHOT.COUNT.MAX")),
            "A VM carries many snapshots: each slows its disks down and takes room.",
            "virsh snapshot-list NAME; delete what nobody needs.",
            "capacity",
            (watched, alerts),
            tells=f"{{ITEM.LASTVALUE1}} (over {macro('VM.SNAPSHOT.COUNT.MAX')})",
        ),
    )  # fmt: skip
