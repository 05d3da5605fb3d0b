"""The playground: a web page that uses this server's HTTP API as any other client does."""
