"""Operators: upsample."""
