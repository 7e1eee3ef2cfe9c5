"""Programs of ours that run inside a job, confined as a tenant's own code is. They import `programs` at most."""
