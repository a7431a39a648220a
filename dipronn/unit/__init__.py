"""What every agent of a unit has, whatever carries its packets: membership, configuration, stored slices."""
