"""The four processes of EVA. They meet only through messages on the bus and never import one another."""
