"""From probability maps to masks: the policies, their rules and scores."""
