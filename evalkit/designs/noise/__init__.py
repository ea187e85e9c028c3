"""Least noise: weights of least variance over clean comparisons, and the covariance that they are made with."""
