"""The parts of the MongoDB store, one idea each."""
