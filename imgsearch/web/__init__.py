"""The HTTP API and the page: routes, schemas and access checks. See ADR 0020."""
