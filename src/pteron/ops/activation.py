"""Operators: activation."""
