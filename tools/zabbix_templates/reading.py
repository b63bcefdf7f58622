"""The reading of a hypervisor: whether it worked, when, and what could not be read."""

from __future__ import annotations

from zabbix_kvm import master as documents

from zabbix_templates.model import Item, Macro, Step, Trigger
from zabbix_templates.scope import CONDITIONS, THROTTLE, WHOLE, YES_NO, since_before
from zabbix_templates.triggers import When, alarm, held, over, text

MACROS = (
    Macro("{$KVM.NODATA}", "5m", "No data for this long is a problem"),
    Macro("{$KVM.UNREAD.TIME}", "3m", "libvirt that does not answer, or of which something cannot be read, for this long is a problem"),
)  # fmt: skip

TAGS = (("component", "libvirt"),)


def triggers() -> tuple[Trigger, ...]:
    """Whether anything is known of it."""
    no_data, no_answer, time = "KVM: No data", "KVM: libvirt does not answer", "{$KVM.UNREAD.TIME}"
    return (
        alarm(
            no_data,
            "HIGH",
            # Zabbix looks at it every half a minute by itself, and knows when a proxy is away
            When("nodata(/T/kvm.time,{$KVM.NODATA})=1", "nodata(/T/kvm.time,{$KVM.NODATA})=0", "{$KVM.NODATA}"),
            "Nothing has arrived from the hypervisor: it, its agent or the timer that pushes is down. Its VMs keep "
            "their last values and raise no problems of their own.",
            "ping the hypervisor; look at its agent's log, or run zabbix_kvm send there by hand.",
            "availability",
            tells="for {$KVM.NODATA}, the last is of {ITEM.LASTVALUE1}",
            shows="last data {ITEM.LASTVALUE1}",
        ),
        alarm(
            no_answer,
            "HIGH",
            held("/T/kvm.worked", 0, time),
            "kvmwatch runs, but libvirt could not be read, several times in a row. VMs run on without it.",
            "do what the message says; systemctl restart libvirtd (or virtqemud) does not touch running VMs.",
            "availability",
            tells=f"{text('/T/kvm.error')} (for {time})",
            shows="worked: {ITEM.LASTVALUE1}",
            depends=(no_data,),
        ),
        alarm(
            "KVM: Not everything could be read",
            "WARNING",
            over("/T/kvm.unread", "0", time, hovers=False),
            "libvirt tells of the VMs, but not of all else that is watched: the daemon or the driver for it is missing "
            "or hangs. What could not be read keeps its last values and raises no problems.",
            "do what the message says.",
            "availability",
            tells=f"{text('/T/kvm.unread.text')} (for {time})",
            shows="{ITEM.LASTVALUE1} could not be read",
            depends=(no_answer,),
        ),
        alarm(
            "KVM: kvmwatch is too old for this template",
            "WARNING",
            When(f"last(/T/kvm.format)<{documents.FORMAT}", f"last(/T/kvm.format)>={documents.FORMAT}"),
            "The package on the hypervisor (or on the proxy that asks it) is older than the template: it does not tell what "
            "the triggers of VMs look at, so none of them is told.",
            "install the package of the same release there; or import the older templates again.",
            "availability",
            tells=f"it is {text('/T/kvm.version')}",
            shows="data of format {ITEM.LASTVALUE1}",
        ),
    )


def items(master: str) -> tuple[Item, ...]:
    """What the document says of itself."""

    def told(name: str, key: str, value_type: str, description: str, *steps: Step) -> Item:
        return Item(
            name, key, value_type=value_type, description=description, master=master, steps=steps, tags=TAGS
        )

    return (
        told(
            "Time of the data",
            "kvm.time",
            "UNSIGNED",
            "When the data was read, by the clock of the machine that read it.",
            Step("JSONPATH", ("$.time",), "DISCARD_VALUE"),
            WHOLE,
        )._replace(units="unixtime"),
        Item(
            name="Age of the data",
            key="kvm.age",
            units="s",
            description="How long ago the newest data was read.",
            type="CALCULATED",
            delay="1m",
            formula="now()-last(//kvm.time)",
            steps=(Step("CHECK_NOT_SUPPORTED", ("",), "DISCARD_VALUE"),),
            tags=TAGS,
        ),
        told(
            "Error",
            "kvm.error",
            "TEXT",
            "Why the hypervisor could not be read; empty when it could.",
            Step("JSONPATH", ("$.error",), "CUSTOM_VALUE", ""),
            THROTTLE,
        ),
        told(
            "Reading worked",
            "kvm.worked",
            "UNSIGNED",
            "1 when libvirt could be read, else 0.",
            Step("JSONPATH", ("$.error",), "CUSTOM_VALUE", "1"),
            Step("REGEX", ("^1$", "1"), "CUSTOM_VALUE", "0"),
        )._replace(value_map=YES_NO),
        since_before("$.read", master),
        told(
            "Conditions of the VMs",
            CONDITIONS,
            "TEXT",
            "UUID to condition of all VMs there are, for their items. Not kept.",
            Step("JSONPATH", ("$.conditions",), "DISCARD_VALUE"),
        )._replace(history="0", tags=(("component", "raw"),)),
        told(
            "Format of the data",
            "kvm.format",
            "UNSIGNED",
            "Which templates it is for; older releases than those that tell it give 1.",
            Step("JSONPATH", ("$.format",), "CUSTOM_VALUE", "1"),
            THROTTLE,
        ),
        told(
            "Not read",
            "kvm.unread",
            "UNSIGNED",
            "How much libvirt did not tell: host figures, storage pools, virtual networks, and each VM that answers but "
            "could not be read.",
            Step("JSONPATH", ("$.unread.count",), "DISCARD_VALUE"),
        ),
        told(
            "Not read: what and why",
            "kvm.unread.text",
            "TEXT",
            "What could not be read, and what to do; empty when all could.",
            Step("JSONPATH", ("$.unread.text",), "DISCARD_VALUE"),
            THROTTLE,
        ),
        told(
            "kvmwatch version",
            "kvm.version",
            "CHAR",
            "",
            Step("JSONPATH", ("$.version",), "DISCARD_VALUE"),
            THROTTLE,
        ),
    )
