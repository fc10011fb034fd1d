"""Measurements, each against its baseline in the same run; docs/performance.md says what and how."""
