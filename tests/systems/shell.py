"""A shell beside a running lab hypervisor and a running Zabbix that watches it: "make lab-zabbix"."""

import os
import subprocess
import sys

if os.environ.get("KVMWATCH_LAB_MISSING"):
    sys.exit(os.environ["KVMWATCH_LAB_MISSING"])

import bed

import zabbix

lab = bed.Bed()
site = zabbix.Zabbix()
try:
    lab.up()
    site.up()
    os.environ.update(ZABBIX_URL=zabbix.URL, ZABBIX_USER=zabbix.USER, ZABBIX_PASSWORD=zabbix.PASSWORD)
    os.environ["PATH"] = f"{zabbix.CHECKOUT}/.venv/bin:{os.environ['PATH']}"
    print(f"Zabbix is {zabbix.URL} ({zabbix.USER}/{zabbix.PASSWORD}) in here; zabbix_kvm provision sets it up.")
    subprocess.run([*sys.argv[1:]] or [os.environ.get("SHELL", "/bin/sh")], check=False)
finally:
    site.down()
    lab.down()
