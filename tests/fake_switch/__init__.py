"""A P4Runtime server without a switch behind it, for tests where bmv2 is not present.

It answers as bmv2 1.15.5 does (``tests/system/p4/test_fake_switch.py`` compares the two where bmv2 is):
entries, groups, counters and digest subscriptions are checked against the P4Info and stored; nothing is
executed. What arrives at a port goes to the controller, and a packet-out leaves; no table is ever looked up.
"""
