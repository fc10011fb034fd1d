"""Measurements, each with its baseline interleaved in the same run: `manage.py bench NAME`."""
