"""llama.cpp: its library, contexts, vocabularies and grammars."""
