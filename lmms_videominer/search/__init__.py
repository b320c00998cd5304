"""What searches are made of: captions, clusters, candidates, key frames, answers, and the engine that runs them."""
