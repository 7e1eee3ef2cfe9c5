"""Attempts at a vendor that has a queue of its own: what every such adapter keeps, tells and decides alike."""
