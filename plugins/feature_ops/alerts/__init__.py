"""Alerts of Prometheus' Alertmanager start trainings."""
