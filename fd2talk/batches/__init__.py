"""Many videos from a table of photos, recordings and options: read, checked, made by several processes, reported."""
