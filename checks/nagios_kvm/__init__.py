"""Service definitions for Nagios, Icinga 2 and Director, and all checks for all VMs as passive results."""
