"""Check commands for Nagios and Icinga: one module per command, each a function of a snapshot."""
