"""What every HTTP protocol needs: routes, request bodies, JSON answers, the caller's key."""
