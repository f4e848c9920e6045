"""Operators: fft."""
