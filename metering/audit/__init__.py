"""The independent audit: re-derives money, usage and figures from the facts, and compares.

It imports nothing of rating, ledger, figures or any other module of the house but the database connection and the port
of the backends, and repeats their rules in its own words: a mistake must be made twice, differently, to stay unseen.
Decision record: infra/decisions/0012-independent-audit.md.
"""
