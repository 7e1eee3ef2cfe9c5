"""Elastic capacity: when machines leave service and when they come back. Values and rules; nothing here reads."""
