"""Operators: split."""
