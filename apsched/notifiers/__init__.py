"""Notifiers: how nodes that share a store tell each other to look at it."""
