"""Decision: chances of one finding under a stated prior, what acting on it is worth, and the act; values only."""
