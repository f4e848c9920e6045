"""Operators: copy."""
