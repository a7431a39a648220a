"""Order at aggregation: a process per session that holds packets until those before them have come.

The steering program sends an ordered output's packets into one end of a veth. At the other stands an AF_XDP
socket of ``sequencer.c``, which sends them back in order; from there on they are steered like any others.
"""
