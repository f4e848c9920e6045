"""Operators: padding."""
