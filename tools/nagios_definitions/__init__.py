"""Writes the definitions for Nagios, NRPE, Icinga 2 and Director from the options of the checks themselves."""
