"""kvmwatch: reads a KVM/libvirt hypervisor once and gives a typed snapshot of it."""

__version__ = "0.1.0"
