"""Loads and runs programs: memory, the reference engine, modules."""
