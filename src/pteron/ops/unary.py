"""Operators: unary."""
