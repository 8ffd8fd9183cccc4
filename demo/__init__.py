"""The demo shop: content, personas, and a storefront. Exists only while it is loaded (`demo.json` in the data directory)."""
