"""From a name to models: bundles, identities of weights, loading, the embedder."""
