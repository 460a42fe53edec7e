"""What a deployment is made with: programs that run alone, and the nginx of the container."""
