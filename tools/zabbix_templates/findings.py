"""What is found on a hypervisor and only a person can put right: told as texts that name whom it is about."""

from __future__ import annotations

from zabbix_templates.model import Item, Macro, Step, Trigger
from zabbix_templates.reading import TAGS
from zabbix_templates.scope import THROTTLE
from zabbix_templates.triggers import SETTLED, When, alarm, given

MACROS = (
    Macro("{$KVM.STRANGE.TIME}", "5m", "What only a person can put right (a typing error, a stray QEMU) is a problem after this time"),
    Macro("{$KVM.STRAYS.ALERTS}", "1", "0: no problem of QEMU processes that libvirt does not know"),
    Macro("{$KVM.STOPPED.TIME}", "2m", "VMs that are paused because their storage pool is full for this long are a problem"),
)  # fmt: skip

_STRAYS, _MISTAKES, _STOPPED = "kvm.strays", "kvm.mistakes", "kvm.stopped"


def triggers() -> tuple[Trigger, ...]:
    """Each is told while its text is not empty."""
    strays, strange, wanted = f"/T/{_STRAYS}", "{$KVM.STRANGE.TIME}", "{$KVM.STRAYS.ALERTS}"
    return (
        alarm(
            "KVM: Full storage pool stops VMs",
            "HIGH",
            given(f"/T/{_STOPPED}", "{$KVM.STOPPED.TIME}"),
            "QEMU paused VMs whose disks found no room in this pool. Each of them has a problem with its name, for "
            "information.",
            "delete or move volumes, or add storage; then virsh resume each of them.",
            "availability",
            (SETTLED,),
        ),
        alarm(
            "KVM: QEMU processes that libvirt does not know",
            "WARNING",
            # the same ones: libvirt itself starts some for moments, to ask what QEMU can do
            given(strays, strange)
            & When(f"last({strays})=last({strays},#1:now-{strange}) and {wanted}=1", f"{wanted}<>1"),
            "A QEMU process that belongs to no VM of libvirt: left behind by a crash of libvirtd, started by hand, or by "
            "another libvirt (a user's qemu:///session). It may write to a disk that libvirt gives to another VM.",
            "look at its command line (ps -fp PID); end it when nobody needs it. check_kvm_process says whose UUID it claims; "
            "where such processes belong there, set {$KVM.STRAYS.ALERTS} to 0.",
            "notice",
            (SETTLED,),
        ),
        alarm(
            "KVM: Metadata of VMs cannot be used",
            "WARNING",
            given(f"/T/{_MISTAKES}", strange),
            "There is a typing error in what owners of VMs say in their metadata (expectation, thresholds). The rest of it "
            "counts.",
            "virsh metadata NAME urn:kvmwatch:1 shows it; set it anew.",
            "notice",
            (SETTLED,),
        ),
    )


def items(master: str) -> tuple[Item, ...]:
    """The texts."""
    return tuple(
        Item(
            name,
            key,
            value_type="TEXT",
            description=description,
            master=master,
            steps=(Step("JSONPATH", (f"$.{key.partition('.')[2]}",), "DISCARD_VALUE"), THROTTLE),
            tags=TAGS,
        )
        for name, key, description in (
            (
                "VMs that a full storage pool stops",
                _STOPPED,
                "Which pool, and which VMs QEMU paused for want of room in it; empty when there are none.",
            ),
            (
                "QEMU processes of no VM",
                _STRAYS,
                "Processes that look like a QEMU and are none that libvirt knows; empty when there are none, and "
                "without a value where they cannot be told apart.",
            ),
            (
                "Metadata that cannot be used",
                _MISTAKES,
                "Of which VMs, and why; empty when all of it can.",
            ),
        )
    )
