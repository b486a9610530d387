"""Make the OpenAPI and AsyncAPI documents and serve the pages that show them."""
