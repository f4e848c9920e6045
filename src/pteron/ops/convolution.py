"""Operators: convolution."""
