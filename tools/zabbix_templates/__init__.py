"""Makes templates/ from declarations: ``make templates``."""
