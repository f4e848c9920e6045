"""What commands say: results as documented JSON documents, and as text made from the same documents."""
