"""Machines that QRMI reaches, behind the port: the package runs in a process and an environment of its own."""
