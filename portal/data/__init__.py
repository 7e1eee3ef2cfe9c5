"""Files of organisations: what jobs read and what they leave, kept in an object store."""
