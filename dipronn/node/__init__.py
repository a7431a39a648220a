"""The all-in-one starter: a whole node in network namespaces of one machine."""
