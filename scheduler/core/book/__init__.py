"""The dispatcher's books in memory: told what changed, asked what starts. Pure."""
