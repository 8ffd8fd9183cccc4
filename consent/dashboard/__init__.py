"""The privacy dashboard: plain pages that work without JavaScript and with the keyboard alone."""
