"""A private Slurm cluster on this machine, for tests and demos: see README.md beside this file."""
