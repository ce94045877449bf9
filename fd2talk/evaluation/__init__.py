"""`fd2talk evaluate`: from folders of generated clips to tables as the papers print them."""
