"""Doors by which events come in over HTTP. Verify, check, produce, then answer; they keep no state."""
