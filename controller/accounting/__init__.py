"""What sessions have used: sums of what their units count, kept across restarts of anything."""

from controller.accounting.accounts import Accounts
from controller.accounting.ledger import Entry, Ledger

__all__ = ["Accounts", "Entry", "Ledger"]
