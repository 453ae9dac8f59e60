"""Bytes and JSON-RPC: bounded frames, envelopes, and one raw peer for each side of a pipe."""
