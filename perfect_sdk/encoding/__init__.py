"""Python values as events keep them, and back; secrets stay out."""
