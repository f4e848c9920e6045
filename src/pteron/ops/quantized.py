"""Operators: quantized."""
