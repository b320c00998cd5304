"""The kinds of fault that ``benchmarks/faults.py`` tries, one file each, and the process in which a case runs."""
