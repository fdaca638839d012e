"""The HTTP API and the page: routes, what they take and give, and who may ask. See ADR 0020."""
