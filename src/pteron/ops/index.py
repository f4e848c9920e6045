"""Operators: index."""
