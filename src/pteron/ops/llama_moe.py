"""Operators: llama_moe."""
