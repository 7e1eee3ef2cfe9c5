"""The audit's own SQL. Every question is put so that the right answer is no row."""
