"""Slurm's own commands in front of the portal: what `kyoyo shims install` puts on the PATH."""
