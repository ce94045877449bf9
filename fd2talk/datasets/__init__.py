"""Published data sets: from the folders that they are published in to a manifest for `fd2talk prepare`."""
