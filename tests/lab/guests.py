"""What the lab's guests are made of: domain XML and disk images."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import inside

WORK = inside.WORK
KERNEL, INITRD = inside.LAB / "vmlinuz", inside.LAB / "initrd"
#: no_timer_check: an emulated timer is late on a busy machine, for which the kernel would give up; what the others
#: leave out is a third of the CPU that an emulated boot takes
BOOT = "console=ttyS0 quiet panic=0 no_timer_check tsc=reliable cryptomgr.notests nokaslr mitigations=off init_on_alloc=0"

#: what a guest does that boots no Linux, as code in real mode. Those that do something wait a second before:
#: libvirt would miss what happens while it still starts them
HALT = b"\xfa\xf4\xeb\xfd"  # cli; hlt; jmp to hlt
_WAIT = b"\xb4\x86\xb9\x0f\x00\xba\x40\x42\xcd\x15"  # the BIOS's wait for 1,000,000 µs
PANIC = _WAIT + b"\xba\x05\x05\xb0\x01\xee" + HALT  # out 0x505, 1: pvpanic's port
# out 0x604: the power management register of QEMU's "pc", where the BIOS puts it
POWER_OFF = _WAIT + b"\xba\x04\x06\xb8\x00\x20\xef" + HALT
SUSPEND = _WAIT + b"\xba\x04\x06\xb8\x00\x24\xef" + HALT
# the BIOS's extended write of a sector to the first disk, and again 64 KiB further for ever; last, its request
FILL = _WAIT + (
    b"\xb2\x80\xbe\x1b\x02\xb8\x00\x43\xcd\x13\x81\x44\x08\x80\x00\xeb\xf4"
    b"\x10\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)


def disk(path: Path, target: str, kind: str = "qcow2", extra: str = "") -> str:
    """XML of a disk."""
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{kind}' {extra}/>"
        f"<source file='{path}'/><target dev='{target}' bus='virtio'/></disk>"
    )


def interface(network: str, mac: str) -> str:
    """XML of an interface on a virtual network."""
    return (
        f"<interface type='network'><mac address='{mac}'/><source network='{network}'/>"
        "<model type='virtio'/></interface>"
    )


def guest(
    name: str,
    args: str | None = None,
    devices: str = "",
    memory: int = 96,
    vcpus: int = 1,
    on_crash: str = "preserve",
    balloon: str = "<memballoon model='virtio'><stats period='2'/></memballoon>",
    metadata: str = "",
    does: bytes = HALT,
) -> str:
    """XML of a domain: with ``args`` it boots the lab's Linux; without, it ``does`` that, in a tenth of the CPU."""
    if args is None:
        boot = f"<kernel>{_program(does)}</kernel>"
    else:
        boot = f"<kernel>{KERNEL}</kernel><initrd>{INITRD}</initrd><cmdline>{BOOT} {args}</cmdline>"
    escaped = name.replace("&", "&amp;").replace("<", "&lt;")
    return f"""<domain type='qemu'><name>{escaped}</name><uuid>{uuid_of(name)}</uuid>
<metadata>{metadata}</metadata><memory unit='MiB'>{memory}</memory><vcpu>{vcpus}</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type>{boot}</os><features><acpi/></features>
<pm><suspend-to-mem enabled='yes'/></pm>
<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>{on_crash}</on_crash>
<devices><controller type='usb' model='none'/><serial type='file'><source path='{console(name)}'/></serial>
{balloon}<panic model='isa'/><video><model type='none'/></video>{devices}</devices></domain>"""


def small(name: str, devices: str = "") -> str:
    """XML of a guest that costs next to nothing: 16 MiB, BIOS only, no disk or network but what is given."""
    return f"""<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64'>hvm</type></os><features><acpi/></features><devices>
<controller type='usb' model='none'/><memballoon model='virtio'/><video><model type='none'/></video>
{devices}</devices></domain>"""


def _program(code: bytes) -> Path:
    """A file with this code, in the form of a Linux kernel of old: a boot sector, then a sector that is run."""
    path = WORK / f"{code.hex()}.kernel"
    boot_sector = (bytes(0x1F1) + b"\x01").ljust(0x1FE, b"\0") + b"\x55\xaa"
    path.write_bytes(boot_sector + code.ljust(0x200, b"\0"))
    return path


def uuid_of(name: str) -> str:
    """The same UUID for a name in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.lab"))


def console(name: str) -> Path:
    """Where the kernel of a guest writes."""
    return WORK / f"{uuid_of(name)}.log"


def watch(attributes: str, inner: str = "") -> str:
    """XML of kvmwatch's metadata."""
    return f"<kvmwatch:watch xmlns:kvmwatch='urn:kvmwatch:1' {attributes}>{inner}</kvmwatch:watch>"


def qcow2(path: Path, size: str, filesystem: bool = False) -> None:
    """Make a disk image."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True)
    if filesystem:
        raw = path.with_suffix(".tmp")
        with open(raw, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", raw], check=True)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path], check=True)
        raw.unlink()
