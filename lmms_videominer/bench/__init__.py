"""``videominer bench``: frame selectors compared through lmms-eval, each cell once, with intervals and plots."""
