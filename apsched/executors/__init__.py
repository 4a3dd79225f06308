"""Executors: what runs the callables of jobs."""
