"""Operators: dim_order."""
