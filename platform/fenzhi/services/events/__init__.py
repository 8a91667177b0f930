"""Services of one noun; see ARCHITECTURE.md."""
