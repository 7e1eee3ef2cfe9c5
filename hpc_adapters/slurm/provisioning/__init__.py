"""Who may use a Slurm cluster through us: account tree, users and limits, compared, repaired and reported."""
