"""Motion while the speech arrives: everything that offline looks at a whole recording, with bounded look-ahead."""
