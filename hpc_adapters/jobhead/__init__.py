"""The head of every job on a site that queues, and the folder that it shares with us."""
