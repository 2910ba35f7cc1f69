"""Suites of paired trials of HTTP serving models: planned, run, summarised, drawn and reported."""
