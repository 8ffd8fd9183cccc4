"""Use cases through HTTP, on real PostgreSQL and Redis."""
