"""The pictures of a result, a module for each kind."""
