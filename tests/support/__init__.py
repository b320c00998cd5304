"""What the tests are made of: videos, tiny models, models with a rule instead of weights, and lmms-eval in process."""
