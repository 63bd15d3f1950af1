"""Models behind HTTP servers: what a server can do is probed, and the most exact way is taken."""
