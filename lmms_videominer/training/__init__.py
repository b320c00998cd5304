"""Training of the tree's policy with T-GRPO (arXiv 2510.06040, section 3.2). Importing it loads nothing heavy."""
