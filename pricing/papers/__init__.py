"""What goes to a customer or a provider as a paper: each module makes the sheet of one kind. Pure."""
