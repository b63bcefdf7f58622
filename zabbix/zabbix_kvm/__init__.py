"""Zabbix: low-level discovery and the master item."""
