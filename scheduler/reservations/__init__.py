"""Advance reservations: what may be booked, by whom, and what follows from it. Values and rules; nothing here reads."""
