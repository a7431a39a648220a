"""Measurements, each in a file of its own; ``python -m bench`` runs them and writes ``build/bench.json``."""
