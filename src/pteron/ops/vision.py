"""Operators: vision."""
