"""Language: fixed sentences for verdicts and findings."""
