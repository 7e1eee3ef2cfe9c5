"""The suite that every adapter passes. Import `suite` only in tests: it needs pytest."""
