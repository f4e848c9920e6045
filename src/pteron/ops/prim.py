"""Operators: prim."""
