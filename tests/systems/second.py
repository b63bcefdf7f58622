"""A second hypervisor, kvm2, beside the lab's own: another libvirtd with its own folders, sockets and host name.

VMs can be live-migrated between the two: to libvirt they are different machines.
"""

from __future__ import annotations

import subprocess
import uuid
from typing import Any

import inside
import libvirt
from waiting import eventually

WORK = inside.WORK / "kvm2"
URI = f"qemu:///system?socket={WORK}/libvirt-sock"
URI_READ_ONLY = f"qemu:///system?socket={WORK}/libvirt-sock-ro"
PKI = WORK / "pki"
NAME = "kvm2"
URI_TLS = f"qemu+tls://{NAME}/system?pkipath={PKI}"

CONF = f"""
unix_sock_dir = "{WORK}"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
listen_tls = 1
listen_tcp = 0
listen_addr = "127.0.0.1"
ca_file = "{PKI}/cacert.pem"
cert_file = "{PKI}/servercert.pem"
key_file = "{PKI}/serverkey.pem"
host_uuid = "{uuid.uuid5(uuid.NAMESPACE_DNS, NAME)}"
log_outputs = "2:file:{WORK}/libvirtd.log"
"""
#: the lab's own, but without virtlogd, whose socket it does not see, and with ports of its own for migrations
QEMU_CONF = (
    inside.QEMU_CONF.replace('"logd"', '"file"') + "migration_port_min = 49300\nmigration_port_max = 49400\n"
)
#: a certificate authority with a server's and a client's certificate, named as libvirt looks for them
CERTIFICATES = f"""
cd {PKI}
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
openssl req -x509 $key -days 2 -subj "/CN=lab" -keyout cakey.pem -out cacert.pem
for side in server client; do
    openssl req $key -subj "/CN={NAME}" -keyout ${{side}}key.pem -out $side.csr
    printf 'subjectAltName=DNS:{NAME}\nkeyUsage=digitalSignature\n' > $side.ext
    openssl x509 -req -days 2 -in $side.csr -CA cacert.pem -CAkey cakey.pem -CAcreateserial \
        -extfile $side.ext -out ${{side}}cert.pem
done
"""
#: prepares a mount namespace in which libvirt's folders are empty, and a host name, then becomes libvirtd
START = f"""
hostname {NAME}
for folder in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run/libvirt; do
    mkdir -p $folder
    mount -t tmpfs -o mode=0755 {NAME} $folder
done
cp {WORK}/qemu.conf /etc/libvirt/
exec libvirtd --listen --config {WORK}/libvirtd.conf --pid-file {WORK}/libvirtd.pid
"""


class Second:
    """Its daemon, and a connection that may change things."""

    def __init__(self) -> None:
        """Prepare the folder."""
        PKI.mkdir(parents=True)
        (WORK / "libvirtd.conf").write_text(CONF)
        (WORK / "qemu.conf").write_text(QEMU_CONF)
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Start the daemon and wait until it answers."""
        subprocess.run(["sh", "-ec", CERTIFICATES], check=True, capture_output=True)
        namespaces = ["unshare", "--mount", "--uts", "--propagation", "private"]
        with open(WORK / "libvirtd.out", "ab") as log:
            self._process = subprocess.Popen(
                [*namespaces, "sh", "-ec", START], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually("the second libvirtd answers", self._answers)

    def connect(self) -> Any:
        """A read-write connection."""
        return libvirt.open(URI)

    def down(self) -> None:
        """Destroy its guests and end it."""
        if not self._process:
            return
        for domain in self.connect().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            domain.destroy()
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except libvirt.libvirtError:
            return False
        return True


def migrate(name: str, source: Any, target: Any) -> None:
    """Move a running VM, as "virsh migrate --live --persistent --undefinesource" does."""
    flags = (
        libvirt.VIR_MIGRATE_LIVE
        | libvirt.VIR_MIGRATE_PERSIST_DEST
        | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
        | libvirt.VIR_MIGRATE_UNSAFE  # both see the same image; the lab's has a cache
    )
    source.lookupByName(name).migrate3(target, {"migrate_uri": "tcp://127.0.0.1"}, flags)
