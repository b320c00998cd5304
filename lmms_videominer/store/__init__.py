"""On-disk storage: atomic file writes, the cache, selections as JSON."""
