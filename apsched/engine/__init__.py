"""The machinery between the ports: it decides (plan), carries (everything else), and knows no adapter."""
