-- slurmdbd's database, and its user: only this cluster's own socket leads there.
CREATE DATABASE slurm_acct;
GRANT ALL ON slurm_acct.* TO slurm@localhost IDENTIFIED BY 'slurm';
