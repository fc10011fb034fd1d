"""Receivers to send to: a real HTTPS endpoint and a real mail server, for the demo and for tests."""
