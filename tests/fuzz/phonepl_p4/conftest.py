"""The compiler raises the recursion limit, and Hypothesis warns of tests that do: it is done once, here."""

import sys

sys.setrecursionlimit(20_000)
