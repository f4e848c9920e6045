"""Operators: bitwise."""
