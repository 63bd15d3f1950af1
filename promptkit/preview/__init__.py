"""Previews of prompts in the terminal, and as lines of tokens, spans or JSON."""
