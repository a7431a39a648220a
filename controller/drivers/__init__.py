"""What the control unit drives beside units: switches."""
