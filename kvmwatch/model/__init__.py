"""What everybody shares and nobody reads libvirt for: the catalogue, the records, what they mean."""
