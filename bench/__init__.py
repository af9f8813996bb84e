"""Benchmarks: `make bench`. Ratios within one run are what counts; absolute times differ between machines."""
