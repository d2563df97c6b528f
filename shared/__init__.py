"""What every process of EVA shares: messages, the bus, settings, errors. It knows no service."""
