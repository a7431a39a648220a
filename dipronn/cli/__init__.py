"""The command line: `dipronn`."""
