//! The pages show the programs to the letter, name crates, codes and pages that there are, and nothing else.
