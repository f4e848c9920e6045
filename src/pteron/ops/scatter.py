"""Operators: scatter."""
