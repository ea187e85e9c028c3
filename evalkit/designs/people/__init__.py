"""People beside people: matching, weighting, and just on either side of a cut-off."""
