"""Operators: binary."""
