"""The video LLM that captions and answers: one protocol, a transformers runtime and, in ``lmms``, the backbones."""
