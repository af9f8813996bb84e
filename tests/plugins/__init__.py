"""What the test suite adds to pytest: isolation of each worker, honest last lines, floors for coverage."""
