"""Tests of what others build against: the API's document, the commands, the bundle."""
