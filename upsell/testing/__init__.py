"""For tests and demonstrations of a host: a gateway with a ledger of its own."""
