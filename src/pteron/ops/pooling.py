"""Operators: pooling."""
