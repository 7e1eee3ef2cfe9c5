"""`kyoyod site`: who runs as whom on a site, and its accounting kept like ours."""
