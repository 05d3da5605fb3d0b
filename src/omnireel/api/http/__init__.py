"""What every HTTP protocol here needs: reading bodies, writing JSON, knowing the caller."""
