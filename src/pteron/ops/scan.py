"""Operators: scan."""
