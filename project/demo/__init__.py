"""`manage.py up --demo`: a sample configuration, receivers on this machine, and the 17 kinds of events."""
