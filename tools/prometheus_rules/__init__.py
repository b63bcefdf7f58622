"""Writes the rules for Prometheus, what Alertmanager holds back, and the tests of both, from the table of alerts."""
