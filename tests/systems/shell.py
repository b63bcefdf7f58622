"""A shell beside two running hypervisors and a running Zabbix that watches them: "make lab-zabbix"."""

import os
import subprocess
import sys

if os.environ.get("KVMWATCH_LAB_MISSING"):
    sys.exit(os.environ["KVMWATCH_LAB_MISSING"])

import fleet
import second

import zabbix

with fleet.Fleet():
    print(f"Zabbix is {zabbix.URL} ({zabbix.USER}/{zabbix.PASSWORD}) in here, and watches kvm1 and kvm2.")
    print(f"kvm1 is qemu:///system, kvm2 is {second.URI_READ_ONLY}.", flush=True)
    subprocess.run([*sys.argv[1:]] or [os.environ.get("SHELL", "/bin/sh")], check=False, env=fleet.environment())
