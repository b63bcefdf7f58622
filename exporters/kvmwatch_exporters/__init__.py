"""One reading of a hypervisor, with what the checks say of it, for Prometheus, InfluxDB, collectd and as JSON."""
