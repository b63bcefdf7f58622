"""The first process of the lab's namespaces: prepares them, runs a command, reaps what is left.

Run by ./run. As process 1 of its PID namespace it is the parent of every daemon that detaches itself (QEMU,
dnsmasq), and when it ends the kernel ends them all.
"""

import os
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")))
LAB = CACHE / "kvmwatch-lab"
MODULAR = CACHE / "kvmwatch-modular"  # libvirt's modular daemons
HOSTNAME = "kvm1"
WORK = Path("/run/lab")  # on the namespace's own tmpfs

# read by the QEMU driver; no polkit, no D-Bus, no security driver in here
QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "logd"
"""

#: holds a domain up for as long as the tests want it to
HOOK = f"""#!/bin/sh
while [ -e "{WORK}/hold-$1" ]; do sleep 0.1; done
"""


def main() -> int:
    """Prepare, run the command, give its exit code."""
    prepare()
    child = subprocess.Popen(sys.argv[1:])
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            return os.waitstatus_to_exitcode(status)


def prepare() -> None:
    """Mount what libvirt writes to or looks at, and write its configuration."""
    mount("-t", "proc", "proc", "/proc")
    for folder in (
        "/run",
        "/etc/kvmwatch",
        "/etc/libvirt",
        "/var/lib/libvirt",
        "/var/log/libvirt",
        "/var/cache/libvirt",
    ):
        os.makedirs(folder, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=0755", "lab", folder)
    # a /sys that shows this network namespace
    os.makedirs("/run/cgroup")
    mount("--rbind", "/sys/fs/cgroup", "/run/cgroup")
    mount("-t", "sysfs", "sysfs", "/sys")
    mount_control_groups()
    # the one of libvirt's sockets is bound into other systems, also before libvirt runs
    for folder in ("/run/lock", "/run/libvirt", WORK, "/var/log/libvirt/qemu", WORK / "pool", WORK / "tiny"):
        os.makedirs(folder)
    mount("-t", "tmpfs", "-o", "size=3m", "lab-tiny", WORK / "tiny")
    Path("/etc/libvirt/qemu.conf").write_text(QEMU_CONF)
    hook = Path("/etc/libvirt/hooks/qemu")  # libvirtd looks for it when it starts
    hook.parent.mkdir()
    hook.write_text(HOOK)
    hook.chmod(0o755)
    # Debian's libvirtd refuses to start its QEMU driver without this user, even to run as root
    add_users("/etc/passwd", "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin")
    add_users("/etc/group", "libvirt-qemu:x:64055:", "libvirt:x:64056:")
    # and it refuses who comes from a system that a test made, as long as these numbers have no names here
    of_systems = range(900, 1000)
    add_users("/etc/passwd", *(f"system{uid}:x:{uid}:{uid}::/nonexistent:/usr/sbin/nologin" for uid in of_systems))
    add_users("/etc/group", *(f"system{gid}:x:{gid}:" for gid in of_systems))
    replace("/etc/hosts", "127.0.0.1 localhost kvm1 kvm2\n::1 localhost\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # as systemd sets it when it boots a machine: Debian 13's ping has no other right, and Nagios looks at hosts by it
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")
    subprocess.run(["hostname", HOSTNAME], check=True)


def mount_control_groups() -> None:
    """The lab's own groups (see ./run) as those at the top; in a machine with nothing but version 2, the machine's."""
    if os.path.exists("/run/cgroup/cgroup.procs"):
        mount("--rbind", "/run/cgroup", "/sys/fs/cgroup")
        return
    mount("-t", "tmpfs", "-o", "mode=0755", "lab", "/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, _ = line.split(":", 2)
        folder = Path("/sys/fs/cgroup", controllers.removeprefix("name=") or "unified")
        if Path("/run/cgroup", folder.name).exists():
            folder.mkdir()
            mount("-t", *(("cgroup", "-o", controllers) if controllers else ("cgroup2",)), "lab", folder)


def mount(*arguments: object) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def add_users(path: str, *lines: str) -> None:
    """Add lines to a copy of a user database that only this mount namespace sees, unless a name or number is taken."""
    there = Path(path).read_text().splitlines()
    taken = {field for line in there for field in line.split(":")[0:3:2]}
    new = [line for line in lines if taken.isdisjoint(line.split(":")[0:3:2])]
    if new:
        replace(path, "\n".join([*there, *new, ""]))


def replace(path: str, text: str) -> None:
    """Give a file another text, which only this mount namespace sees."""
    copy = WORK / Path(path).name
    copy.write_text(text)
    if not os.path.samefile(copy, path):
        mount("--bind", copy, path)


if __name__ == "__main__":
    sys.exit(main())
