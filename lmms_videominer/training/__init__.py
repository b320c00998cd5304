"""T-GRPO: training the tree's policy (arXiv 2510.06040, section 3.2). Importing this package loads nothing heavy."""
