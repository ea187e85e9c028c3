"""The study: register, panel, the two doors, exposure paths."""
