"""Gas cylinders: what a judgement needs, the rules, and the verdict (pure)."""
