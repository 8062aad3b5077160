// A test target needs one file; the first real tests replace it.
