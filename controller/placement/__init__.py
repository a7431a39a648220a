"""Which unit runs which instance, and whether the node can take a session at all."""

from controller.placement.admission import Demand, Offer, Placer, Problem
from controller.placement.placer import BestPlacer

__all__ = ["BestPlacer", "Demand", "Offer", "Placer", "Problem"]
