"""Makes this folder importable, for `twin`."""
