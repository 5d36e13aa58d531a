//! A sight made by hand, for tests: what is there is what the test puts there.
