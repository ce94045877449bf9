"""Provenance of files: C2PA signatures, metadata tags, and reading both."""
