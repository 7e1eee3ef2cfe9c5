"""Slurm clusters, by slurmrestd and slurmdbd."""
