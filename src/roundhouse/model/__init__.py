"""Frozen nouns, without input or output."""
