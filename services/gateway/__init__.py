"""The edge and the conductor: accepts clients and owns each session's turns."""
