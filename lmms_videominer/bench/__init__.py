"""``videominer bench``: compares frame selectors through lmms-eval, each cell once, with intervals and plots."""
