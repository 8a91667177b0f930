"""GraphQL types, queries and mutations of one noun; resolvers translate, services decide."""
