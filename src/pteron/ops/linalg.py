"""Operators: linalg."""
