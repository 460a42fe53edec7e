"""HTTP: what everybody may call, what only the owner may, and whether the service is well."""
