"""Operators: embedding."""
