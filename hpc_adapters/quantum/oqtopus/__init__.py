"""OQTOPUS Cloud behind the port: its user API over REST, and circuits checked in a confined process before."""
