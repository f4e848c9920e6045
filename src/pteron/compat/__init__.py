"""The guarantee: what a file requires, what a build provides, what is promised, and the verdict."""
