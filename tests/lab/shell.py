"""A shell in the lab, with its guests running: "make lab"."""

import os
import subprocess
import sys

if os.environ.get("KVMWATCH_LAB_MISSING"):
    sys.exit(os.environ["KVMWATCH_LAB_MISSING"])

from bed import Bed
from running import running

with running(Bed()):
    print("The lab's libvirt is qemu:///system in this shell; leave it to take everything down.")
    subprocess.run([os.environ.get("SHELL", "/bin/sh")], check=False)
