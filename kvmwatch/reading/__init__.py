"""Reading libvirt and /proc. The rest of the house asks for it through :mod:`kvmwatch.reading.collect` alone."""
