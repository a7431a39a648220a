"""Steering rows on a P4 switch, by P4Runtime."""
