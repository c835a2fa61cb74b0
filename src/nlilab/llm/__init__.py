"""The language-model client: request, store, transport and providers."""
