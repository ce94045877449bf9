"""`fd2talk studio`: a page on which portraits are made to speak, and their motion is edited (extra `studio`)."""
