"""Operators: llama."""
