"""Operators: comparison."""
