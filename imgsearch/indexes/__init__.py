"""Vector indexes: projections of the catalog that answer a query."""
