// fal's client, unmodified, directed to a server in one of three ways.
import { createFalClient } from "@fal-ai/client";

const PREFIXES = { "fal.run": "sync", "queue.fal.run": "queue", "rest.fal.ai": "rest", "v3.fal.media": "cdn" };

function byMiddleware(base) {
  return {
    requestMiddleware: async (request) => {
      const url = new URL(request.url);
      return { ...request, url: `${base}/${PREFIXES[url.host]}${url.pathname}${url.search}` };
    },
  };
}

const WAYS = {
  middleware: () => byMiddleware(process.env.URL_HTTP),
  proxy: () => ({ proxyUrl: { url: `${process.env.URL_HTTP}/api/fal/proxy`, when: "always" } }),
  tls: () => byMiddleware(process.env.URL_HTTPS), // trusted by NODE_EXTRA_CA_CERTS
};

export function connect(way) {
  return createFalClient({ credentials: "any:key", ...WAYS[way]() });
}
