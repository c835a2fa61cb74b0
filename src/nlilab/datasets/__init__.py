"""Human-made and templated data: from a pinned file of the hub, a URL or a path to rows with named labels."""
