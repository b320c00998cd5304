"""What is kept on disk: files written atomically, the cache, selections as JSON."""
