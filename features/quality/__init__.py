"""The quality gate: is a picture a frontal chest X-ray, upright and whole?"""
