"""Operators: normalization."""
