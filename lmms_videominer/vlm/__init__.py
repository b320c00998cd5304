"""The video LLM, which captions and answers: the protocol and a transformers runtime; ``lmms`` has the backbones."""
