"""Which design is the headline, what verdict follows, and how it is said."""
