"""What a visitor allows: purposes, notices, the ledger, gates, holders, enforcement. Knows nothing of content."""
