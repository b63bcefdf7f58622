"""Zabbix: low-level discovery and the master item."""

import gc

# The commands live for a fraction of a second and end by os._exit: collecting cycles only delays them (3 %).
gc.disable()
