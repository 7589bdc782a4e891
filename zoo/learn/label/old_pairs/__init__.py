"""Old pickled pairs (X, y) of images and labels, read and written anew."""
