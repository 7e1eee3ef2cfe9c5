"""The `kyoyo` command."""
