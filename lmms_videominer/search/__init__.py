"""The parts of a search: captions, clusters, candidates, key frames, answers, and the engine that runs searches."""
