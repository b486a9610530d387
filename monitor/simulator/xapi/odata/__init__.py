"""Parse and apply OData queries: grammar, filters, options."""
