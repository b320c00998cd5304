"""Resolves and loads models: bundles, identities of weights, loading, the embedder."""
