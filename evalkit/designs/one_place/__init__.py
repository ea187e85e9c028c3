"""One place alone: beside its own past, or beside a mix of other places that moved with it before."""
