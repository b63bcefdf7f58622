"""Writes the dashboards for Grafana from declarations: what is shown of the metrics of kvmwatch export prometheus."""
