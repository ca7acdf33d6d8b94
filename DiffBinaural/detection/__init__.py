"""What is to be seen in a video: boxes of what can make a sound."""
