"""Losses that several motion models use."""
