"""`kyoyod demo`: the whole house on this machine, from nothing to an audited month, acted through the real client."""
