"""Where a file comes from: signatures by C2PA, our own tags, and what a file carries of both."""
