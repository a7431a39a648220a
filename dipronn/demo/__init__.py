"""The demonstration: its stream, its traffic, its program bundles, and what is verified about them."""
