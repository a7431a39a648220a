"""Which unit runs which instance, and whether the node can take a session at all."""

from controller.placement.admission import Demand, Offer, Placer
from controller.placement.first_fit import FirstFit

__all__ = ["Demand", "FirstFit", "Offer", "Placer"]
