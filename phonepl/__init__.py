"""Phonepl: one small packet language, three targets, one meaning (P1–P75)."""
