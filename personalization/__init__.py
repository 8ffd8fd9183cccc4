"""What a visitor gets: profiles, events, segments, decision, delivery. Start reading at `delivery.py`."""
