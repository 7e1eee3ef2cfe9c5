"""The SQL of the scheduler: the only place that knows its tables."""
