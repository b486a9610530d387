"""OData query expressions: grammar, filters, options."""
