"""Delegates: one folder or file per backend; identification of payloads, and the backends that can run them."""
