"""Stage one: speech -> Motion. Never imports stage two."""
