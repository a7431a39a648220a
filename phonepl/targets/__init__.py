"""The three targets of one semantics: `interpreter` (the truth), `xdp`, `p4`."""
