"""The unit agent: makes one unit be what the control unit ordered, and reports what happens there.

``python -m vmhost.agent --config FILE`` runs it, inside the unit's network namespace.
"""
