"""Operators: reduction."""
