"""Faults: services are killed and stopped under load, and what was promised is checked against a client's journal."""
