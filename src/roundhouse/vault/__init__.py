"""Secrets: where their values are kept, how entries refer to them, who may use them, and that nobody reads them."""
