"""The version of all of EVA."""

VERSION = "0.1.0"
