"""What a consumer says beside the wire: reports, and who listens to them."""
