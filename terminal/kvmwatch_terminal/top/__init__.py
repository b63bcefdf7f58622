"""kvmwatch top: what the VMs do, again and again."""
