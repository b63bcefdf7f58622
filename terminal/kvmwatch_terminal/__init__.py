"""kvmwatch: what a hypervisor and its VMs are doing, for people at a terminal."""
